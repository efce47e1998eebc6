"""What users type: ``svmixer VERB …``; the table of the verbs is in :mod:`svmixer.cli.main`."""
