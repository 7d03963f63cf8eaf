"""Answers as OpenAI, Anthropic and Gemini do, always the same. Argument: port.

A request with tools is answered by a call of the first; a model named `limited` by a refusal.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ARGUMENTS = '{"city": "Z\\u00fcrich", "days": 2}'
PIECES = ["Hello", " from", " upstream"]


def chat(stream, tool):
    head = {"id": "chatcmpl-1", "created": 1, "model": "gpt-up"}
    usage = {"prompt_tokens": 30, "completion_tokens": 5, "total_tokens": 35}
    finish = "tool_calls" if tool else "stop"
    call = {"id": "call_1", "type": "function", "function": {"name": tool, "arguments": ARGUMENTS}}
    if not stream:
        message = {"role": "assistant", "content": None if tool else "".join(PIECES), "refusal": None}
        if tool:
            message["tool_calls"] = [call]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        return {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
    deltas = [{"role": "assistant", "content": None if tool else ""}]
    if tool:
        deltas.append({"tool_calls": [{**call, "index": 0, "function": {"name": tool, "arguments": ""}}]})
        for start in range(0, len(ARGUMENTS), 7):
            piece = {"index": 0, "function": {"arguments": ARGUMENTS[start : start + 7]}}
            deltas.append({"tool_calls": [piece]})
    else:
        deltas += [{"content": piece} for piece in PIECES]
    head["object"] = "chat.completion.chunk"
    chunks = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    chunks.append({**head, "choices": [], "usage": usage})
    return [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]


def message(stream, tool):
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-up", "stop_sequence": None}
    usage = {"input_tokens": 20, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 0, "output_tokens": 5}
    reason = "tool_use" if tool else "end_turn"
    block = {"type": "tool_use", "id": "toolu_1", "name": tool, "input": json.loads(ARGUMENTS)}
    if not stream:
        content = [block] if tool else [{"type": "text", "text": "".join(PIECES)}]
        return {**head, "content": content, "stop_reason": reason, "usage": usage}
    start = {**head, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    events = [{"type": "message_start", "message": start}]
    if tool:
        first, kind, name = {**block, "input": {}}, "input_json_delta", "partial_json"
        pieces = [ARGUMENTS[at : at + 7] for at in range(0, len(ARGUMENTS), 7)]
    else:
        first, kind, name, pieces = {"type": "text", "text": ""}, "text_delta", "text", PIECES
    events.append({"type": "content_block_start", "index": 0, "content_block": first})
    events.append({"type": "ping"})
    events += [{"type": "content_block_delta", "index": 0, "delta": {"type": kind, name: piece}} for piece in pieces]
    events.append({"type": "content_block_stop", "index": 0})
    last = {"stop_reason": reason, "stop_sequence": None}
    events.append({"type": "message_delta", "delta": last, "usage": {"output_tokens": 5}})
    events.append({"type": "message_stop"})
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]


def gemini(stream, tool):
    def answer(parts, finish, output):
        candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
        if finish:
            candidate["finishReason"] = finish
        usage = {"promptTokenCount": 30, "candidatesTokenCount": output, "totalTokenCount": 30 + output}
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-up", "responseId": "r"}

    call = [{"functionCall": {"name": tool, "args": json.loads(ARGUMENTS)}}]
    if not stream:
        return answer(call if tool else [{"text": "".join(PIECES)}], "STOP", 5)
    answers = [answer(call, None, 5)] if tool else [answer([{"text": piece}], None, 2) for piece in PIECES]
    answers.append(answer([{"text": ""}], "STOP", 5))
    return [f"data: {json.dumps(each)}\r\n\r\n" for each in answers]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer(200, {"object": "list"})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        tools = request.get("tools") or []
        stream = bool(request.get("stream"))
        if ":" in self.path:
            stream = "streamGenerateContent" in self.path
            tool = tools[0]["functionDeclarations"][0]["name"] if tools else None
            return self.answer(200, gemini(stream, tool))
        limited = request["model"].startswith("limited")
        if self.path == "/v1/messages":
            assert request["max_tokens"] > 0
            if limited:
                return self.refuse({"type": "error", "error": {"type": "rate_limit_error", "message": "too fast"}})
            return self.answer(200, message(stream, tools[0]["name"] if tools else None))
        if limited:
            error = {"message": "too fast", "type": "requests", "param": None, "code": "rate_limit_exceeded"}
            return self.refuse({"error": error})
        return self.answer(200, chat(stream, tools[0]["function"]["name"] if tools else None))

    def refuse(self, body):
        self.answer(429, body, {"retry-after": "7"})

    def answer(self, status, body, headers={}):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if isinstance(body, dict):
            data = json.dumps(body).encode()
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            return
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in body:
            data = event.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.serve_forever()
