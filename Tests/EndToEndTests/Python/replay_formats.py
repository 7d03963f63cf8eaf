"""Answers as OpenAI, Anthropic, Gemini, Bedrock, Cohere and Ollama do, always the same. Argument: port.

A request with tools is answered by a call of the first; a model named `limited` by a refusal.
"""

import json
import struct
import sys
import zlib
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


def frame(kind, payload):
    """One frame of AWS's event stream."""
    headers = b""
    for name, value in ((":event-type", kind), (":content-type", "application/json"), (":message-type", "event")):
        headers += struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
    data = json.dumps(payload).encode()
    head = struct.pack("!II", 16 + len(headers) + len(data), len(headers))
    rest = head + struct.pack("!I", zlib.crc32(head)) + headers + data
    return rest + struct.pack("!I", zlib.crc32(rest))


def converse(stream, tool):
    usage = {"inputTokens": 30, "outputTokens": 5, "totalTokens": 35}
    reason = "tool_use" if tool else "end_turn"
    start = {"toolUseId": "tooluse_1", "name": tool}
    if not stream:
        content = {"toolUse": {**start, "input": json.loads(ARGUMENTS)}} if tool else {"text": "".join(PIECES)}
        said = {"message": {"role": "assistant", "content": [content]}}
        return {"output": said, "stopReason": reason, "usage": usage, "metrics": {"latencyMs": 1}}
    frames = [frame("messageStart", {"role": "assistant"})]
    if tool:
        frames.append(frame("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": start}}))
        deltas = [{"toolUse": {"input": ARGUMENTS[at : at + 7]}} for at in range(0, len(ARGUMENTS), 7)]
    else:
        deltas = [{"text": piece} for piece in PIECES]
    frames += [frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": delta}) for delta in deltas]
    frames.append(frame("contentBlockStop", {"contentBlockIndex": 0}))
    frames.append(frame("messageStop", {"stopReason": reason}))
    return frames + [frame("metadata", {"usage": usage, "metrics": {"latencyMs": 1}})]


def cohere(stream, tool):
    tokens = {"input_tokens": 30, "output_tokens": 5}
    usage = {"billed_units": tokens, "tokens": tokens}
    reason = "TOOL_CALL" if tool else "COMPLETE"
    call = {"id": "weather_1", "type": "function", "function": {"name": tool, "arguments": ARGUMENTS}}
    if not stream:
        said = {"tool_calls": [call]} if tool else {"content": [{"type": "text", "text": "".join(PIECES)}]}
        return {"id": "c", "finish_reason": reason, "message": {"role": "assistant", **said}, "usage": usage}
    events = [{"type": "message-start", "id": "c", "delta": {"message": {"role": "assistant"}}}]

    def add(kind, message):
        events.append({"type": kind, "index": 0, "delta": {"message": message}})

    if tool:
        add("tool-call-start", {"tool_calls": {**call, "function": {"name": tool, "arguments": ""}}})
        for at in range(0, len(ARGUMENTS), 7):
            add("tool-call-delta", {"tool_calls": {"function": {"arguments": ARGUMENTS[at : at + 7]}}})
        events.append({"type": "tool-call-end", "index": 0})
    else:
        add("content-start", {"content": {"type": "text", "text": ""}})
        for piece in PIECES:
            add("content-delta", {"content": {"text": piece}})
        events.append({"type": "content-end", "index": 0})
    events.append({"type": "message-end", "id": "c", "delta": {"finish_reason": reason, "usage": usage}})
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events]


def ollama(stream, tool):
    def line(message, last):
        end = {"done_reason": "stop", "prompt_eval_count": 30, "eval_count": 5} if last else {}
        return {"model": "ollama-up", "created_at": "2026-01-02T03:04:05Z", "message": message, "done": last, **end}

    call = {"function": {"name": tool, "arguments": json.loads(ARGUMENTS)}}
    said = {"role": "assistant", "content": "", "tool_calls": [call]}
    if not stream:
        return line(said if tool else {"role": "assistant", "content": "".join(PIECES)}, True)
    messages = [said] if tool else [{"role": "assistant", "content": piece} for piece in PIECES]
    lines = [line(message, False) for message in messages] + [line({"role": "assistant", "content": ""}, True)]
    return [json.dumps(each) + "\n" for each in lines]


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
        if "/converse" in self.path:
            listed = request.get("toolConfig", {}).get("tools") or []
            tool = listed[0]["toolSpec"]["name"] if listed else None
            stream = self.path.endswith("-stream")
            return self.answer(200, converse(stream, tool), stream_type="application/vnd.amazon.eventstream")
        if self.path in ("/v2/chat", "/api/chat"):
            tool = tools[0]["function"]["name"] if tools else None
            if self.path == "/v2/chat":
                return self.answer(200, cohere(stream, tool))
            return self.answer(200, ollama(request.get("stream", True), tool), stream_type="application/x-ndjson")
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

    def answer(self, status, body, headers={}, stream_type="text/event-stream"):
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
        self.send_header("content-type", stream_type)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in body:
            data = event if isinstance(event, bytes) else event.encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.serve_forever()
