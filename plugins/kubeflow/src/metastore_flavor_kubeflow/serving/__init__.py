"""`metastore serve`: ML Metadata's protocol over any store.

`command` is the command, `_server` the gRPC server around a `Service`, `_service` the table of
RPCs; the modules beside it have their bodies: plain functions of a store, a request and a
response.
Source of the protocol: ml_metadata/proto/metadata_store_service.proto, and what ml-metadata 1.17.1
does; docs/contract.md, section 12, says where metastore does better on purpose.
"""
