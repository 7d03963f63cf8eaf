import GatewayCore

/// Makes answers. Pure: values in, bytes out.
enum ControlReply {
    static func json(_ value: JSONValue, status: Int = 200) -> ControlResponse {
        ControlResponse(status: status, body: Array(value.text.utf8))
    }

    static func object(_ members: [JSONMember], status: Int = 200) -> ControlResponse {
        Self.json(.object(members), status: status)
    }

    static func refusal(_ refusal: ControlRefusal) -> ControlResponse {
        switch refusal {
        case .gateway(let error): Self.error(error)
        case .store(let error): Self.error(ControlRefusal.answer(to: error))
        case .invalid(let problems):
            Self.object(
                [
                    JSONMember(
                        "detail",
                        .array(
                            problems.map { problem in
                                .object([
                                    JSONMember("type", .string(problem.type)),
                                    JSONMember("loc", .strings(problem.location)),
                                    JSONMember("msg", .string(problem.message)),
                                ])
                            }))
                ], status: 422)
        }
    }

    static func error(_ error: GatewayError) -> ControlResponse {
        var response = ControlResponse(status: error.status, body: Array(error.body.utf8))
        if let seconds = error.retryAfterSeconds { response.headers.append(("retry-after", String(seconds))) }
        if error.status == 401 { response.headers.append(("www-authenticate", "Bearer")) }
        return response
    }

    /// FastAPI's `{"detail": ...}`.
    static func detail(_ text: String, status: Int) -> ControlResponse {
        Self.object([JSONMember("detail", .string(text))], status: status)
    }
}
