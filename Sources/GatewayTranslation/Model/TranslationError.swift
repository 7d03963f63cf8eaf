import GatewayCore
import GatewayWire

/// Why something cannot be translated. Messages hold names of fields, never their content.
package struct TranslationError: Error, Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        /// The caller's request is malformed.
        case invalidRequest
        /// The request is well formed, but the target cannot express it.
        case unsupported
        /// The provider's answer is malformed, or not an answer at all.
        case invalidAnswer
        /// A bound was exceeded while a stream was translated.
        case tooLarge
    }

    package var kind: Kind
    package var message: String
    /// The field at fault. `nil`: none in particular.
    package var param: String?

    package init(_ kind: Kind, _ message: String, param: String? = nil) {
        self.kind = kind
        self.message = message
        self.param = param
    }

    static func request(_ message: String, param: String) -> TranslationError {
        TranslationError(.invalidRequest, message, param: param)
    }

    static func wrongType(_ param: String, _ expectation: String) -> TranslationError {
        TranslationError(.invalidRequest, "The field '\(param)' has a wrong type: send \(expectation).", param: param)
    }

    static func answer(_ message: String) -> TranslationError { TranslationError(.invalidAnswer, message) }

    static func json(_ fault: JSONFault) -> TranslationError {
        TranslationError(.invalidRequest, fault.message, param: fault.param)
    }

    /// What the caller gets.
    package var gatewayError: GatewayError {
        switch self.kind {
        case .invalidRequest:
            GatewayError(
                status: 400, type: "invalid_request_error", param: self.param, origin: .caller, message: self.message)
        case .unsupported:
            GatewayError(
                status: 400, type: "invalid_request_error", param: self.param, code: "unsupported_parameter",
                origin: .caller, message: self.message)
        case .invalidAnswer, .tooLarge:
            GatewayError(status: 502, type: "server_error", origin: .upstream, message: self.message)
        }
    }
}
