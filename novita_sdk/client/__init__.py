"""The objects that users hold: clients, endpoints and jobs, blocking and asynchronous."""
