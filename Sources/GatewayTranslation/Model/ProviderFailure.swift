import GatewayWire

/// What a provider said went wrong, in no format.
package struct ProviderFailure: Hashable, Sendable {
    package enum Kind: Hashable, Sendable, CaseIterable {
        case invalidRequest, contextWindow, contentPolicy, authentication, billing, permission, notFound, timeout
        case conflict, tooLarge, unprocessable, rateLimited, quotaExceeded, overloaded, server
    }

    package var kind: Kind
    /// The status that the caller gets.
    package var status: Int
    package var message: String
    /// The provider's own name of the fault. `nil`: it gave none.
    package var code: String?
    package var param: String?
    /// Seconds after which to try again, from the body. `nil`: not said there.
    package var retryAfterSeconds: Int?

    package init(kind: Kind, status: Int, message: String, code: String? = nil, param: String? = nil) {
        self.kind = kind
        self.status = status
        self.message = message
        self.code = code
        self.param = param
    }
}
