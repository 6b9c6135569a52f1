import novita_gpus
from novita_gpus import Endpoint

Endpoint()  # wrong: the name is missing
Endpoint(7)  # wrong: a name is text
Endpoint("e").run()  # wrong: the input is missing
number: int = Endpoint("e").run({}).job_id  # wrong: an id is text
novita_gpus.api_key.upper()  # wrong: there may be none
novita_gpus.start("handler")  # wrong: it takes a dictionary
novita_gpus.strat({})  # wrong: a misspelt name
