import GatewayCore
import GatewayProviders

/// A credential that was fetched. The secret never appears in a description.
package enum FetchedCredential: Sendable, Hashable, CustomStringConvertible {
    /// Goes into `Authorization: Bearer`.
    case bearer(String)
    /// Signs each request.
    case aws(AWSCredentials)

    package var description: String {
        switch self {
        case .bearer: "FetchedCredential(bearer, redacted)"
        case .aws(let credentials): "FetchedCredential(\(credentials))"
        }
    }
}

/// Why there is no credential. The message is for the log and says what to mend; it holds no secret, but names of hosts,
/// files and accounts, so no caller is told it.
package struct CredentialError: Error, Sendable, Hashable {
    package enum Kind: Sendable {
        /// Whoever gives credentials says no, or what it is asked with is wrong: asking again changes nothing.
        case refused
        /// No answer, or none that could be read: a later try may succeed.
        case unavailable
    }

    package let kind: Kind
    package let message: String

    package init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    /// What the caller of the deployment gets.
    var gatewayError: GatewayError {
        switch self.kind {
        case .refused:
            GatewayError(
                status: 401, type: "authentication_error", origin: .upstream,
                message: "The gateway's own credentials for this model's deployment were refused, so no token could be "
                    + "had for it. An operator finds the cause in the gateway's log.")
        case .unavailable:
            GatewayError(
                status: 503, type: "api_connection_error", origin: .upstream,
                message: "The gateway could not get the credentials for this model's deployment. Try again later; an "
                    + "operator finds the cause in the gateway's log.")
        }
    }
}
