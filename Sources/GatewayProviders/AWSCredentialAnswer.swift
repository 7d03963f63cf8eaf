/// Keys of AWS that were fetched, with when they end. The secrets never appear in a description.
package struct AWSCredentialAnswer: Sendable, Hashable, CustomStringConvertible {
    package var credentials: AWSCredentials
    /// Seconds since 1970. `nil`: not said.
    package var expiresAt: Int64?

    package var description: String { "AWSCredentialAnswer(\(self.credentials))" }

    package init(credentials: AWSCredentials, expiresAt: Int64?) {
        self.credentials = credentials
        self.expiresAt = expiresAt
    }

    /// What the metadata service of a machine and the endpoint of a container answer ("IAM roles for Amazon EC2",
    /// "Container credential provider"). `nil`: no keys are in it.
    package init?(json: [UInt8]) {
        guard let members = SmallObject.read(json), let accessKeyID = members["AccessKeyId"],
            let secret = members["SecretAccessKey"]
        else { return nil }
        self.credentials = AWSCredentials(
            accessKeyID: accessKeyID, secretAccessKey: secret, sessionToken: members["Token"])
        self.expiresAt = members["Expiration"].flatMap { Self.seconds(iso8601: $0) }
    }

    /// What the security token service answers to `AssumeRole` and `AssumeRoleWithWebIdentity` (AWS STS API
    /// Reference). `nil`: no keys are in it.
    package init?(xml: [UInt8]) {
        let text = String(decoding: xml, as: UTF8.self)
        guard let accessKeyID = Self.element("AccessKeyId", of: text),
            let secret = Self.element("SecretAccessKey", of: text),
            let token = Self.element("SessionToken", of: text)
        else { return nil }
        self.credentials = AWSCredentials(accessKeyID: accessKeyID, secretAccessKey: secret, sessionToken: token)
        self.expiresAt = Self.element("Expiration", of: text).flatMap { Self.seconds(iso8601: $0) }
    }

    /// The code of an error of the security token service, such as `AccessDenied`. `nil`: there is none.
    package static func errorCode(xml: [UInt8]) -> String? {
        let code = Self.element("Code", of: String(decoding: xml, as: UTF8.self))
        return code.flatMap { $0.utf8.count <= 64 && $0.allSatisfy { $0.isASCII && $0.isLetter } ? $0 : nil }
    }

    /// The text of the first element of this name; `nil`: none, or it is empty. These elements have no attributes.
    private static func element(_ name: String, of text: String) -> String? {
        guard let open = text.firstRange(of: "<\(name)>"),
            let close = text[open.upperBound...].firstRange(of: "</\(name)>")
        else { return nil }
        var value = String(text[open.upperBound..<close.lowerBound])
        // The ampersand last, so that nothing is undone twice.
        for (entity, character) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")] {
            value = value.replacing(entity, with: character)
        }
        return value.isEmpty ? nil : value
    }

    /// Seconds since 1970 of `2026-11-23T14:05:06Z`, fractions of seconds left out. `nil`: not such a time in UTC.
    package static func seconds(iso8601 text: String) -> Int64? {
        let bytes = Array(text.utf8)
        guard bytes.count >= 20, bytes.last == UInt8(ascii: "Z") else { return nil }
        let marks = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")]
        guard marks.allSatisfy({ bytes[$0.0] == $0.1.utf8.first }) else { return nil }
        func number(_ start: Int, _ count: Int) -> Int64? {
            bytes[start..<start + count].reduce(Int64(0)) { sum, byte in
                guard let sum, (0x30...0x39).contains(byte) else { return nil }
                return sum * 10 + Int64(byte - 0x30)
            }
        }
        guard let year = number(0, 4), let month = number(5, 2), let day = number(8, 2), let hour = number(11, 2),
            let minute = number(14, 2), let second = number(17, 2), (1...12).contains(month), (1...31).contains(day),
            hour < 24, minute < 60, second <= 60
        else { return nil }
        // Days are counted in eras of 400 years that begin in March, as in `AWSSignature.timestamp`.
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
        return days * 86_400 + hour * 3_600 + minute * 60 + second
    }
}
