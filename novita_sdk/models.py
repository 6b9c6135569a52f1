"""The protocol's messages and options: the one door through which they are imported.

Attribute docs are in `proto/novita_protocol/v1/`.
"""

from __future__ import annotations

from novita_protocol.v1.error_pb2 import ApiError, HandlerError
from novita_protocol.v1.file_pb2 import File
from novita_protocol.v1.job_pb2 import ExecutionPolicy, Job, JobRequest, JobResult
from novita_protocol.v1.jobs_messages_pb2 import (
    CancelRequest,
    CancelResponse,
    GetHealthRequest,
    GetHealthResponse,
    GetStatusRequest,
    GetStatusResponse,
    ListJobsRequest,
    ListJobsResponse,
    PurgeQueueRequest,
    PurgeQueueResponse,
    ReadStreamRequest,
    ReadStreamResponse,
    RetryRequest,
    RetryResponse,
    RunRequest,
    RunResponse,
    RunSyncRequest,
    RunSyncResponse,
)
from novita_protocol.v1.options_pb2 import final, header, json_extra, json_payload, required, wire_name
from novita_protocol.v1.progress_pb2 import Progress, StreamChunk
from novita_protocol.v1.status_pb2 import EndpointHealth, JobCounts, JobState, JobStatus, WorkerCounts
from novita_protocol.v1.worker_messages_pb2 import (
    FinishJobRequest,
    FinishJobResponse,
    PingRequest,
    PingResponse,
    StreamJobRequest,
    StreamJobResponse,
    TakeJobRequest,
    TakeJobResponse,
    TakeJobsRequest,
    TakeJobsResponse,
    WatchStopsRequest,
    WatchStopsResponse,
)

__all__ = [
    "ApiError",
    "CancelRequest",
    "CancelResponse",
    "EndpointHealth",
    "ExecutionPolicy",
    "File",
    "FinishJobRequest",
    "FinishJobResponse",
    "GetHealthRequest",
    "GetHealthResponse",
    "GetStatusRequest",
    "GetStatusResponse",
    "HandlerError",
    "Job",
    "JobCounts",
    "JobRequest",
    "JobResult",
    "JobState",
    "JobStatus",
    "ListJobsRequest",
    "ListJobsResponse",
    "PingRequest",
    "PingResponse",
    "Progress",
    "PurgeQueueRequest",
    "PurgeQueueResponse",
    "ReadStreamRequest",
    "ReadStreamResponse",
    "RetryRequest",
    "RetryResponse",
    "RunRequest",
    "RunResponse",
    "RunSyncRequest",
    "RunSyncResponse",
    "StreamChunk",
    "StreamJobRequest",
    "StreamJobResponse",
    "TakeJobRequest",
    "TakeJobResponse",
    "TakeJobsRequest",
    "TakeJobsResponse",
    "WatchStopsRequest",
    "WatchStopsResponse",
    "WorkerCounts",
    "final",
    "header",
    "json_extra",
    "json_payload",
    "required",
    "wire_name",
]
