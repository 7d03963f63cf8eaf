"""Answers messages with what was asked, Responses that it keeps, and embeddings in three shapes. Argument: port."""

import base64
import json
import struct
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEPT = {}


def texts(content):
    return content if isinstance(content, str) else " ".join(part.get("text", "?") for part in content)


def message(request):
    said = " | ".join(f"{turn['role']}: {texts(turn['content'])}" for turn in request["messages"])
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-up", "stop_sequence": None}
    usage = {"input_tokens": 20, "output_tokens": 5}
    if not request.get("stream"):
        return {**head, "content": [{"type": "text", "text": said}], "stop_reason": "end_turn", "usage": usage}
    events = [
        {"type": "message_start", "message": {**head, "content": [], "stop_reason": None, "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": said}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage},
        {"type": "message_stop"},
    ]
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]


def response(request):
    number = len(KEPT) + 1
    before = KEPT[request["previous_response_id"]]["said"] + " | " if "previous_response_id" in request else ""
    said = before + texts(request["input"])
    part = {"type": "output_text", "text": said, "annotations": []}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    body = {
        "id": f"resp_up_{number}", "object": "response", "created_at": 1, "status": "completed", "error": None,
        "incomplete_details": None, "instructions": None, "metadata": {}, "model": "gpt-up", "output": [item],
        "parallel_tool_calls": True, "temperature": 1.0, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "usage": {"input_tokens": 20, "output_tokens": 5, "total_tokens": 25, **details},
    }  # fmt: skip
    KEPT[body["id"]] = {"body": body, "said": said}
    return body


def embeddings(request, path):
    vector = [0.25, -1.5]
    if path == "/v1/embeddings":
        given = request["input"] if isinstance(request["input"], list) else [request["input"]]
        coded = base64.b64encode(struct.pack("<2f", *vector)).decode()
        value = coded if request.get("encoding_format") == "base64" else vector
        data = [{"object": "embedding", "index": at, "embedding": value} for at in range(len(given))]
        return {"object": "list", "data": data, "model": "up", "usage": {"prompt_tokens": 20, "total_tokens": 20}}
    if path == "/v2/embed":
        given = {"float": [vector for _ in request["texts"]]}
        meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 20}}
        return {"id": "e", "embeddings": given, "texts": request["texts"], "meta": meta, "response_type": "embeddings_by_type"}
    if path.endswith(":predict"):
        statistics = {"token_count": 20, "truncated": False}
        return {"predictions": [{"embeddings": {"values": vector, "statistics": statistics}}]}
    assert all(each["model"] == "models/gemini-up" for each in request["requests"]), request
    return {"embeddings": [{"values": vector} for _ in request["requests"]], "usageMetadata": {"promptTokenCount": 20}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def kept(self):
        return KEPT.get(self.path.split("?")[0].split("/")[3])

    def do_GET(self):
        if self.path == "/":
            return self.answer(200, {"ready": True})
        kept = self.kept()
        if kept is None:
            return self.answer(404, {"error": {"message": "not found", "type": "invalid_request_error"}})
        if "/input_items" in self.path:
            item = {"type": "message", "id": "in_1", "role": "user", "status": "completed", "content": []}
            page = {"object": "list", "data": [item], "first_id": "in_1", "last_id": "in_1", "has_more": False}
            return self.answer(200, page)
        self.answer(200, kept["body"])

    def do_DELETE(self):
        kept = KEPT.pop(self.path.split("/")[3])
        self.answer(200, {"id": kept["body"]["id"], "object": "response", "deleted": True})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        path = self.path.split("?")[0]
        made = {"/v1/messages": message, "/v1/responses": response}.get(path)
        self.answer(200, made(request) if made else embeddings(request, path))

    def answer(self, status, body):
        is_stream = isinstance(body, list)
        data = "".join(body).encode() if is_stream else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "text/event-stream" if is_stream else "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


ThreadingHTTPServer.daemon_threads = True
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
