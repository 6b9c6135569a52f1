"""The client's only sockets: they carry out the steps of the flows, one blocking and one on an event loop."""
