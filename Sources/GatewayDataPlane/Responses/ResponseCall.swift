import Crypto
import GatewayCore
import GatewayRouting
import NIOCore

/// What a call of `/v1/responses` has to do with those that are kept. `nil` in a call: nothing, or it is another call.
final class ResponseCall {
    let archive: ResponseArchive
    /// Who may have it again.
    let owner: String
    /// Whose former responses it may name. `nil`: anybody's.
    let reader: String?
    /// Whether the caller wants it kept.
    let stores: Bool
    /// The response that it goes on from. `nil`: it begins a conversation.
    let previousID: String?
    /// The body as the caller wrote it: its own turn.
    let request: ByteBuffer
    /// Where the conversation is kept, if not here.
    var pin: (deploymentID: String, account: String)?
    /// The end of the answer waits until the response is stored; since when, monotonic nanoseconds.
    var heldSince: UInt64?
    var isKept = false
    /// The last event of a stream that goes to the caller as it is. Empty: the provider keeps it, or it has not come.
    var lastEvent = ByteBuffer()
    /// A whole answer that is held so.
    var answer: ByteBuffer?
    /// All of a stream is there.
    var isComplete = false

    init(
        archive: ResponseArchive, key: (owner: String, reader: String?), stores: Bool, previousID: String?,
        request: ByteBuffer
    ) {
        self.archive = archive
        (self.owner, self.reader) = key
        self.stores = stores
        self.previousID = previousID
        self.request = request
    }

    var isHolding: Bool { self.heldSince != nil }
}

extension Deployment {
    /// Tells the accounts apart that deployments have at their providers: where one keeps a response, another of the
    /// same account knows it, too.
    var account: String {
        guard let address = self.configuration.address else { return "" }
        let text =
            "\(address.host):\(address.port)\(address.basePath)\n"
            + (self.configuration.authentication?.value.reveal() ?? "")
        return SHA256.hash(data: Array(text.utf8)).prefix(16)
            .map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }
}

extension GatewayError {
    /// As OpenAI says it.
    static func noPreviousResponse(_ id: String) -> GatewayError {
        GatewayError(
            status: 400, type: "invalid_request_error", param: "previous_response_id",
            code: "previous_response_not_found", origin: .caller,
            message: "Previous response with id '\(String(id.prefix(128)))' not found.")
    }

    static func noResponse(_ id: String) -> GatewayError {
        GatewayError(
            status: 404, type: "invalid_request_error", origin: .caller,
            message: "Response with id '\(String(id.prefix(128)))' not found.")
    }

    static let conversationTooLong = GatewayError(
        status: 400, type: "invalid_request_error", param: "previous_response_id", origin: .caller,
        message: "The conversation before this response has more turns or bytes than the gateway puts together again. "
            + "Send what matters of it in 'input'; an operator can raise response_turns_max and "
            + "response_conversation_bytes_max.")

    static let conversationElsewhere = GatewayError(
        status: 400, type: "invalid_request_error", param: "previous_response_id", origin: .caller,
        message: "The conversation before this response is kept by a provider that does not serve this model. Go on "
            + "with the model that made it, or send the whole conversation in 'input'.")

    static let responseStoreAway = GatewayError(
        status: 503, type: "service_unavailable", origin: .gateway,
        message: "The store that keeps responses cannot be reached. Try again soon.", retryAfterSeconds: 1)
}
