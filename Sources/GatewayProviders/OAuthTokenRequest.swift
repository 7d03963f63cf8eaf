import Foundation
import GatewayWire

/// A request for an OAuth access token: a POST of a form. The body holds a secret; neither it nor the answer belongs in
/// a log.
package struct OAuthTokenRequest: Sendable, Hashable, CustomStringConvertible {
    package let url: String
    /// `application/x-www-form-urlencoded`.
    package let body: String

    package var description: String { "OAuthTokenRequest(\(self.url), body redacted)" }

    /// Microsoft Entra, client credentials (identity platform v2.0, "Get a token").
    ///
    /// - Parameters:
    ///   - authority: such as `https://login.microsoftonline.com`.
    ///   - scope: Azure OpenAI's is `https://cognitiveservices.azure.com/.default`.
    package static func entra(
        authority: String, tenantID: String, clientID: String, clientSecret: String, scope: String
    ) -> OAuthTokenRequest {
        OAuthTokenRequest(
            url: "\(authority)/\(Provider.encoded(tenantID))/oauth2/v2.0/token",
            body: self.form([
                ("grant_type", "client_credentials"), ("client_id", clientID), ("client_secret", clientSecret),
                ("scope", scope),
            ]))
    }

    /// A Google service account ("Using OAuth 2.0 for server to server applications").
    ///
    /// - Parameters:
    ///   - tokenURI: `token_uri` of the account's key file.
    ///   - assertion: `googleAssertion`, a dot and its RS256 signature in base64url.
    package static func google(tokenURI: String, assertion: String) -> OAuthTokenRequest {
        OAuthTokenRequest(
            url: tokenURI,
            body: self.form([
                ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion),
            ]))
    }

    /// A person who has signed in once (RFC 6749, section 6).
    package static func refresh(
        tokenURI: String, clientID: String, clientSecret: String, refreshToken: String
    ) -> OAuthTokenRequest {
        OAuthTokenRequest(
            url: tokenURI,
            body: self.form([
                ("grant_type", "refresh_token"), ("client_id", clientID), ("client_secret", clientSecret),
                ("refresh_token", refreshToken),
            ]))
    }

    /// What a Google service account signs (RFC 7515, "JWS Signing Input"): header and claims, valid for an hour.
    ///
    /// - Parameters:
    ///   - email: `client_email` of the key file.
    ///   - keyID: its `private_key_id`.
    ///   - now: seconds since 1970.
    package static func googleAssertion(email: String, keyID: String, tokenURI: String, now: Int64) -> String {
        var header = JSONWriter()
        header.beginObject()
        header.member("alg", "RS256")
        header.member("typ", "JWT")
        header.key("kid")
        header.string(escaping: keyID)
        header.endObject()
        var claims = JSONWriter()
        claims.beginObject()
        claims.key("iss")
        claims.string(escaping: email)
        claims.member("scope", "https://www.googleapis.com/auth/cloud-platform")
        claims.key("aud")
        claims.string(escaping: tokenURI)
        claims.member("iat", count: now)
        claims.member("exp", count: min(now, Int64.max - 3600) + 3600)
        claims.endObject()
        return self.base64URL(header.bytes) + "." + self.base64URL(claims.bytes)
    }

    /// Base64 with the alphabet of URLs, without padding (RFC 4648, section 5).
    package static func base64URL(_ bytes: [UInt8]) -> String {
        let text = Data(bytes).base64EncodedString()
        var result: [UInt8] = []
        for byte in text.utf8 where byte != UInt8(ascii: "=") {
            result.append(byte == UInt8(ascii: "+") ? 0x2D : byte == UInt8(ascii: "/") ? 0x5F : byte)
        }
        return String(decoding: result, as: UTF8.self)
    }

    static func form(_ fields: [(name: String, value: String)]) -> String {
        fields.map { "\($0.name)=\(Provider.encoded($0.value))" }.joined(separator: "&")
    }
}
