"""The client of a metadata service: calls, reads, filters and writes over ML Metadata's protocol.

A store on gRPC, whose server has rules of its own, and no transaction that spans two calls::

    _reasons   why a call did not come through
    _channel   one call, tried again where that is safe; statuses become errors
    _nodes     lists of nodes, whichever RPC they are had from
    _filters   what of a filter the server may evaluate before we do
    _types, _edges    types; events and links
    _lookup    the planner's questions
    _calls     a batch's changes as calls, and their order
    _writer    a batch written: planned, checked, called, looked up where its outcome is unknown
"""

import os

# Before gRPC is imported: what it prints of lost connections would stand among a command's output.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
