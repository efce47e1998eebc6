"""Places in a job, by the scheduler's variables."""

import socket

import pytest

from svmixer.distributed.cluster import (
    Allocation,
    ClusterError,
    allocation,
    expand_hosts,
    job_ports,
    read_host_file,
)


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("n1", ["n1"]),
        ("gpu-a[1-3,7],x-y-01", ["gpu-a1", "gpu-a2", "gpu-a3", "gpu-a7", "x-y-01"]),
        ("x-y-01,x-y-02", ["x-y-01", "x-y-02"]),
        ("n[08-10]", ["n08", "n09", "n10"]),
        ("n[009,1-2]-ib0.example.org", ["n009-ib0.example.org", "n1-ib0.example.org", "n2-ib0.example.org"]),
        ("r[1-2]n[1-2]", ["r1n1", "r1n2", "r2n1", "r2n2"]),
        ("a[1,3],b,c-[5-6]-d", ["a1", "a3", "b", "c-5-d", "c-6-d"]),
        ("n[5-5]", ["n5"]),
    ],
)
def test_host_lists(text, hosts):
    assert expand_hosts(text) == hosts


@pytest.mark.parametrize(
    "text", ["", "a,,b", "a[1-2", "a]1", "a[]", "a[1-]", "a[3-1]", "a[x]", "a[1-2][", "a[[1]]"]
)
def test_what_is_no_host_list(text):
    with pytest.raises(ClusterError, match="not a list of hosts"):
        expand_hosts(text)


def test_grid_engines_file_names_a_host_once(tmp_path):
    path = tmp_path / "hosts"
    path.write_text("node-a.x 2 all.q@node-a.x U\nnode-b.x 1 all.q@node-b.x U\n\nnode-a.x 1 gpu.q <NULL>\n")
    assert read_host_file(path) == ("node-a.x", "node-b.x")


@pytest.mark.parametrize(
    ("text", "reason"),
    [("a 2 q U\nb\n", ":2: expected 'host slots queue processors', found 'b'"), ("\n", "has no hosts")],
)
def test_a_bad_host_file_is_named_with_its_line(tmp_path, text, reason):
    path = tmp_path / "hosts"
    path.write_text(text)
    with pytest.raises(ClusterError, match=reason):
        read_host_file(path)
    with pytest.raises(ClusterError, match="PE_HOSTFILE"):
        read_host_file(tmp_path / "missing")


def test_place_by_slurm():
    environ = {"SLURM_NODEID": "2", "SLURM_JOB_NODELIST": "gpu-a[1-3]", "SLURM_JOB_ID": "4711"}
    assert allocation(environ, 3) == Allocation(("gpu-a1", "gpu-a2", "gpu-a3"), 2, "4711")
    step = {**environ, "SLURM_NODEID": "1", "SLURM_STEP_NODELIST": "gpu-a[2-3]"}
    assert allocation(step, 2) == Allocation(("gpu-a2", "gpu-a3"), 1, "4711")
    with pytest.raises(
        ClusterError, match=r"4 nodes were asked for, but Slurm's node list gpu-a\[1-3\] has 3"
    ):
        allocation(environ, 4)


def test_place_by_grid_engine(tmp_path, monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "node-b")
    monkeypatch.setattr(socket, "getfqdn", lambda: "node-b.two")
    path = tmp_path / "hosts"
    path.write_text("node-a.two 1 q U\nnode-b.one 1 q U\nnode-b.two 1 q U\n")
    environ = {"PE_HOSTFILE": str(path), "JOB_ID": "12"}
    # The whole name goes before the short one.
    assert allocation(environ, 3) == Allocation(("node-a.two", "node-b.one", "node-b.two"), 2, "12")
    path.write_text("node-a 1 q U\nnode-b.local 1 q U\n")
    assert allocation(environ, 2).node == 1
    path.write_text("node-a 1 q U\nnode-c 1 q U\n")
    with pytest.raises(ClusterError, match=r"this host \(node-b\) is not among node-a, node-c"):
        allocation(environ, 2)


def test_no_scheduler_says_which_node_this_is():
    with pytest.raises(ClusterError, match=r"give device.node \(1 to 2\)"):
        allocation({"SLURM_JOB_ID": "1"}, 2)


def test_ports_follow_from_the_job_and_neighbours_share_none():
    assert list(job_ports("3")) == [20024, 20025, 20026, 20027, 20028, 20029, 20030, 20031]
    assert job_ports("1503") == job_ports("3")
    jobs = [set(job_ports(str(job))) for job in range(1499, 1503)]
    assert len(set.union(*jobs)) == 4 * 8 and max(map(max, jobs)) < 32768
    assert job_ports("job-17.cluster") == job_ports("17") and job_ports("") == job_ports("0")
