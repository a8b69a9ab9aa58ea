"""Stands for the C extension of the ``sagemaker-training`` toolkit, which is installed here without a compiler.

The toolkit names its file to MPI, to be preloaded where a host's name must be faked; hosts here have their names.
"""
