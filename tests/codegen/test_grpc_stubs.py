"""The generated gRPC stubs, which the extra `grpc` is for: messages go over a real channel and come back whole."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from novita_protocol.v1 import jobs_service_pb2_grpc, worker_service_pb2_grpc
from novita_protocol.v1.jobs_messages_pb2 import GetStatusRequest, GetStatusResponse, RunRequest
from novita_protocol.v1.jobs_service_novita import JobsServiceMethods
from novita_protocol.v1.status_pb2 import JobStatus
from novita_protocol.v1.worker_messages_pb2 import TakeJobRequest, TakeJobResponse
from novita_protocol.v1.worker_service_novita import WorkerServiceMethods

PAYLOAD = b'{"seed":1125899906842624123,"steps":10}'


class Jobs(jobs_service_pb2_grpc.JobsServiceServicer):
    def GetStatus(self, request: GetStatusRequest, context: grpc.ServicerContext) -> GetStatusResponse:  # noqa: N802 - as in the proto
        return GetStatusResponse(
            job=JobStatus(id=request.id, status="COMPLETED", output=PAYLOAD, revision=request.since)
        )


class Worker(worker_service_pb2_grpc.WorkerServiceServicer):
    def TakeJob(self, request: TakeJobRequest, context: grpc.ServicerContext) -> TakeJobResponse:  # noqa: N802 - as in the proto
        return TakeJobResponse()


@pytest.fixture
def channel() -> Iterator[grpc.Channel]:
    """To a server on loopback that serves one method of each service."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        server = grpc.server(pool)
        # A server may be older than its client and lack methods, which the type checker demands.
        jobs_service_pb2_grpc.add_JobsServiceServicer_to_server(Jobs(), server)  # type: ignore[abstract]
        worker_service_pb2_grpc.add_WorkerServiceServicer_to_server(Worker(), server)  # type: ignore[abstract]
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
        server.stop(grace=None).wait()


def test_a_message_goes_over_a_channel_and_its_answer_comes_back(channel: grpc.Channel) -> None:
    jobs = jobs_service_pb2_grpc.JobsServiceStub(channel)
    answer = jobs.GetStatus(GetStatusRequest(endpoint="ep", id="j1", since=2**60), timeout=10)
    assert answer.job == JobStatus(id="j1", status="COMPLETED", output=PAYLOAD, revision=2**60)
    workers = worker_service_pb2_grpc.WorkerServiceStub(channel)
    assert not workers.TakeJob(TakeJobRequest(endpoint="ep", worker_id="pod1"), timeout=10).HasField("job")


def test_a_method_that_the_server_leaves_out_is_refused(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError, match=r"StatusCode\.UNIMPLEMENTED"):
        jobs_service_pb2_grpc.JobsServiceStub(channel).Run(RunRequest(endpoint="ep"), timeout=10)


def test_the_stubs_have_every_method_of_the_tables(channel: grpc.Channel) -> None:
    jobs = jobs_service_pb2_grpc.JobsServiceStub(channel)
    workers = worker_service_pb2_grpc.WorkerServiceStub(channel)
    assert vars(jobs).keys() == {method.name for method in JobsServiceMethods.ALL}
    assert vars(workers).keys() == {method.name for method in WorkerServiceMethods.ALL}
