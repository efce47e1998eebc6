"""Trainings with several processes and nodes: launching, rendezvous, devices, signals."""
