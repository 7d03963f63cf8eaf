import GatewayCore
import GatewayLedger

/// One field at fault, as FastAPI reports it in a 422.
struct FieldProblem: Error, Equatable, Sendable {
    /// Where: `body` or `query` and the field's name.
    var location: [String]
    var message: String
    /// Pydantic's error type, such as `string_type`.
    var type: String
}

/// Why a control request is not carried out.
enum ControlRefusal: Error, Sendable {
    case gateway(GatewayError)
    /// Fields of the wrong type or out of bounds: 422 with LiteLLM's `detail`.
    case invalid([FieldProblem])
    case store(LedgerError)

    static func badRequest(_ message: String, param: String? = nil) -> ControlRefusal {
        .gateway(GatewayError(status: 400, type: "bad_request_error", param: param, origin: .caller, message: message))
    }

    static func forbidden(_ message: String, param: String? = nil) -> ControlRefusal {
        .gateway(GatewayError(status: 403, type: "auth_error", param: param, origin: .caller, message: message))
    }

    static var keyNotFound: ControlRefusal {
        .gateway(
            GatewayError(
                status: 404, type: "not_found_error", param: "key", origin: .caller,
                message: "Key not found. Name a key by its secret or by the token that /key/list shows."))
    }

    static var masterKeyIsFixed: ControlRefusal {
        .badRequest(
            "The master key cannot be changed over the API. Set it in the configuration and restart.", param: "key")
    }

    static var tooManyMutations: ControlRefusal {
        .gateway(
            GatewayError(
                status: 503, type: "overloaded_error", origin: .gateway,
                message: "Too many changes of keys wait already; repeat the request.", retryAfterSeconds: 1))
    }

    /// What the caller gets for a failure of the store. The store's own text is for the log only.
    static func answer(to error: LedgerError) -> GatewayError {
        switch error {
        case .unavailable, .journalFull, .locked:
            GatewayError(
                status: 503, type: "no_db_connection", origin: .gateway,
                message: "The ledger's store cannot be reached; nothing was confirmed. Repeat the request.",
                retryAfterSeconds: 1)
        case .conflict:
            GatewayError(
                status: 400, type: "bad_request_error", param: "key", origin: .caller,
                message: "A key with this secret or alias exists already. Choose another one.")
        case .notFound:
            GatewayError(status: 404, type: "not_found_error", param: "key", origin: .caller, message: "Key not found.")
        case .corrupt:
            GatewayError(
                status: 500, type: "internal_server_error", origin: .gateway,
                message: "The ledger's store contradicts itself; its log says where.")
        }
    }
}
