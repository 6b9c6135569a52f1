from novita_testing import embedded
from novita_testing.pytest_plugin import StartEndpoint


def handler(job: dict[str, object]) -> object:
    return job["input"]


def test_it(novita_endpoint: StartEndpoint) -> None:
    embedded(handler, concurency=2)  # wrong: there is no such option
    embedded(handler, concurrency="2")  # wrong: a number
    novita_endpoint(handler, endpoint=5)  # wrong: a name
    novita_endpoint(handler, leases=5)  # wrong: there is no such option
