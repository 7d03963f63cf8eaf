"""Serves a small real model with llama.cpp. Arguments: gguf file, port, alias, "embedding" or "chat".

Ends when its standard input would: it is killed by the test that started it.
"""

import sys
import threading

from xllamacpp import CommonParams, Server, llama_pooling_type

path, port, alias, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
params = CommonParams()
params.model.path = path
params.model_alias = {alias}
params.hostnames = ["127.0.0.1"]
params.port = port
params.n_ctx = 4096
params.n_parallel = 2
params.cpuparams.n_threads = 2
params.endpoint_metrics = True
if kind == "embedding":
    params.embedding = True
    params.pooling_type = llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
else:
    params.use_jinja = True
server = Server(params)
print("serving", flush=True)
threading.Event().wait()
