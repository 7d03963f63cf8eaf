import Crypto
import CryptoExtras
import Foundation

/// A file of Google's application default credentials. The key never appears in a description.
package enum GoogleAccount: Sendable, CustomStringConvertible {
    /// A service account, which signs for itself with a private key in PEM.
    case service(email: String, keyID: String, privateKey: String, tokenURI: String)
    /// A person who has signed in by `gcloud auth application-default login`.
    case user(clientID: String, clientSecret: String, refreshToken: String, tokenURI: String)

    package enum Fault: Error, Sendable, Hashable {
        case notJSON
        /// Its `type` is another one, which may hold what must not be shown.
        case typeNotServed
        case memberMissing(String)
        case keyUnreadable

        package var message: String {
            switch self {
            case .notJSON: "the Google credentials are no JSON object"
            case .typeNotServed:
                "the type of the Google credentials is neither service_account nor authorized_user; use a key file of a "
                    + "service account, or leave the credentials out on a machine that has an account of its own"
            case .memberMissing(let name): "the Google credentials have no \(name)"
            case .keyUnreadable: "the private_key of the Google credentials is no RSA key in PEM of 2048 bits or more"
            }
        }
    }

    package static let tokenURI = "https://oauth2.googleapis.com/token"

    package var description: String {
        switch self {
        case .service(let email, _, _, _): "GoogleAccount(\(email), key redacted)"
        case .user: "GoogleAccount(user, secrets redacted)"
        }
    }

    /// Reads the text of such a file.
    package static func read(_ text: [UInt8]) throws(Fault) -> (account: GoogleAccount, projectID: String?) {
        guard let members = SmallObject.read(text) else { throw .notJSON }
        func required(_ name: String) throws(Fault) -> String {
            guard let value = members[name], !value.isEmpty else { throw .memberMissing(name) }
            return value
        }
        let tokenURI = members["token_uri"].flatMap { $0.isEmpty ? nil : $0 } ?? Self.tokenURI
        switch members["type"] {
        case "service_account":
            let account = GoogleAccount.service(
                email: try required("client_email"), keyID: members["private_key_id"] ?? "",
                privateKey: try required("private_key"), tokenURI: tokenURI)
            return (account, members["project_id"])
        case "authorized_user":
            let account = GoogleAccount.user(
                clientID: try required("client_id"), clientSecret: try required("client_secret"),
                refreshToken: try required("refresh_token"), tokenURI: tokenURI)
            return (account, members["quota_project_id"])
        default: throw .typeNotServed
        }
    }

    /// What asks for an access token. Signing takes about a millisecond.
    ///
    /// - Parameter now: seconds since 1970.
    package func tokenRequest(now: Int64) throws(Fault) -> OAuthTokenRequest {
        switch self {
        case .service(let email, let keyID, let privateKey, let tokenURI):
            let assertion = OAuthTokenRequest.googleAssertion(email: email, keyID: keyID, tokenURI: tokenURI, now: now)
            do {
                let key = try _RSA.Signing.PrivateKey(pemRepresentation: privateKey)
                let signature = try key.signature(
                    for: SHA256.hash(data: Data(assertion.utf8)), padding: .insecurePKCS1v1_5)
                let signed = "\(assertion).\(OAuthTokenRequest.base64URL(Array(signature.rawRepresentation)))"
                return .google(tokenURI: tokenURI, assertion: signed)
            } catch {
                throw .keyUnreadable
            }
        case .user(let clientID, let clientSecret, let refreshToken, let tokenURI):
            return .refresh(
                tokenURI: tokenURI, clientID: clientID, clientSecret: clientSecret, refreshToken: refreshToken)
        }
    }
}
