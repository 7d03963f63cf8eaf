/// What a token server answers (RFC 6749, sections 5.1 and 5.2). The token never appears in a description.
package struct OAuthTokenAnswer: Sendable, Hashable, CustomStringConvertible {
    package let accessToken: String
    /// Seconds. `nil`: not said.
    package let expiresIn: Int64?

    package var description: String { "OAuthTokenAnswer(redacted)" }

    /// `nil`: there is no token in it that could be sent in a header.
    package init?(json: [UInt8]) {
        guard let members = SmallObject.read(json), let token = members["access_token"], !token.isEmpty,
            token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else { return nil }
        self.accessToken = token
        // Some servers write a text.
        self.expiresIn = members["expires_in"].flatMap { Int64($0) }
    }

    /// The code of a refusal, such as `invalid_grant`; it never holds a secret. `nil`: there is none.
    package static func errorCode(json: [UInt8]) -> String? {
        guard let code = SmallObject.read(json)?["error"], !code.isEmpty, code.utf8.count <= 64,
            code.utf8.allSatisfy({ (0x61...0x7A).contains($0) || $0 == UInt8(ascii: "_") })
        else { return nil }
        return code
    }
}
