import Crypto
import Foundation

/// Credentials of AWS. The secrets never appear in a description.
package struct AWSCredentials: Sendable, Hashable, CustomStringConvertible {
    package let accessKeyID: String
    package let secretAccessKey: String
    /// Of temporary credentials. `nil`: permanent ones.
    package let sessionToken: String?

    package init(accessKeyID: String, secretAccessKey: String, sessionToken: String?) {
        self.accessKeyID = accessKeyID
        self.secretAccessKey = secretAccessKey
        self.sessionToken = sessionToken
    }

    /// Whether each part can stand in a header.
    package var isSendable: Bool {
        ([self.accessKeyID, self.secretAccessKey] + [self.sessionToken].compactMap { $0 }).allSatisfy { text in
            !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
        }
    }

    package var description: String { "AWSCredentials(\(self.accessKeyID), secret redacted)" }
}

/// AWS Signature Version 4 in headers (AWS Identity and Access Management, "Create a signed AWS API request").
package enum AWSSignature {
    /// The headers that sign a request: `X-Amz-Date`, `Authorization`, and the session's token if there is one.
    ///
    /// - Parameters:
    ///   - host: as the `Host` header has it, with the port unless it is the scheme's own.
    ///   - path: as it stands in the request line, percent-encoded; without the query. Services other than S3 sign it
    ///     encoded once more.
    ///   - query: as it stands in the request line behind `?`; empty: none.
    ///   - date: seconds since 1970, 0 or more; AWS refuses more than five minutes of difference.
    package static func headers(
        method: String, host: String, path: String, query: String, body: UnsafeRawBufferPointer, date: Int64,
        credentials: AWSCredentials, region: String, service: String
    ) -> [(name: String, value: String)] {
        self.headers(
            method: method, host: host, path: path, query: query, signing: [], body: body, date: date,
            credentials: credentials, region: region, service: service)
    }

    /// The same, which signs the headers `signing` too; their names are in lower case.
    package static func headers(
        method: String, host: String, path: String, query: String, signing: [(name: String, value: String)],
        body: UnsafeRawBufferPointer, date: Int64, credentials: AWSCredentials, region: String, service: String
    ) -> [(name: String, value: String)] {
        let time = Self.timestamp(date)
        let day = String(time.prefix(8))
        var signed = signing + [("host", host), ("x-amz-date", time)]
        if let token = credentials.sessionToken { signed.append(("x-amz-security-token", token)) }
        signed.sort { $0.name < $1.name }
        let names = signed.map(\.name).joined(separator: ";")
        let lines = signed.map { "\($0.name):\(Self.trimmed($0.value))\n" }.joined()
        let request = [
            method, Self.canonicalPath(path), Self.canonicalQuery(query), lines, names, Self.hash(body),
        ].joined(separator: "\n")
        let scope = "\(day)/\(region)/\(service)/aws4_request"
        let text = "AWS4-HMAC-SHA256\n\(time)\n\(scope)\n\(Self.hash(request))"
        let key = Self.signingKey(
            secret: credentials.secretAccessKey, day: day, region: region, service: service)
        let signature = Self.hexadecimal(HMAC<SHA256>.authenticationCode(for: Data(text.utf8), using: key))
        var headers: [(name: String, value: String)] = [("X-Amz-Date", time)]
        if let token = credentials.sessionToken { headers.append(("X-Amz-Security-Token", token)) }
        headers.append(
            (
                "Authorization",
                "AWS4-HMAC-SHA256 Credential=\(credentials.accessKeyID)/\(scope), SignedHeaders=\(names), "
                    + "Signature=\(signature)"
            ))
        return headers
    }

    /// `20150830T123600Z`. Days are counted in eras of 400 years that begin in March, so that leap days come last.
    package static func timestamp(_ seconds: Int64) -> String {
        let seconds = min(max(0, seconds), 253_402_300_799)  // the end of 9999
        let (days, rest) = seconds.quotientAndRemainder(dividingBy: 86_400)
        let shifted = days + 719_468
        let (era, dayOfEra) = shifted.quotientAndRemainder(dividingBy: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * month + 2) / 5 + 1
        let civilMonth = month < 10 ? month + 3 : month - 9
        let year = yearOfEra + era * 400 + (civilMonth <= 2 ? 1 : 0)
        func padded(_ value: Int64, _ width: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, width - text.count)) + text
        }
        return padded(year, 4) + padded(civilMonth, 2) + padded(day, 2) + "T" + padded(rest / 3_600, 2)
            + padded(rest / 60 % 60, 2) + padded(rest % 60, 2) + "Z"
    }

    private static func signingKey(secret: String, day: String, region: String, service: String) -> SymmetricKey {
        var key = SymmetricKey(data: Data("AWS4\(secret)".utf8))
        for part in [day, region, service, "aws4_request"] {
            key = SymmetricKey(data: Data(HMAC<SHA256>.authenticationCode(for: Data(part.utf8), using: key)))
        }
        return key
    }

    /// Each segment encoded again, slashes as they are.
    private static func canonicalPath(_ path: String) -> String {
        if path.isEmpty { return "/" }
        return path.split(separator: "/", omittingEmptySubsequences: false)
            .map { Provider.encoded(String($0)) }.joined(separator: "/")
    }

    /// Parameters by name, then by value, both encoded in AWS's way; one without a value gets an empty one.
    private static func canonicalQuery(_ query: String) -> String {
        query.split(separator: "&").map { parameter in
            let pair = parameter.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (
                name: self.reencoded(pair.first ?? ""), value: self.reencoded(pair.count > 1 ? pair[1] : "")
            )
        }
        .sorted { ($0.name, $0.value) < ($1.name, $1.value) }
        .map { "\($0.name)=\($0.value)" }.joined(separator: "&")
    }

    /// What stands encoded in the request line in AWS's own way of encoding.
    private static func reencoded(_ text: Substring) -> String {
        Provider.encoded(String(text).removingPercentEncoding ?? String(text))
    }

    /// Without blanks at its ends, runs of blanks as one.
    private static func trimmed(_ value: String) -> String {
        value.split(whereSeparator: { $0 == " " || $0 == "\t" }).joined(separator: " ")
    }

    private static func hash(_ bytes: UnsafeRawBufferPointer) -> String {
        var hash = SHA256()
        hash.update(bufferPointer: bytes)
        return self.hexadecimal(hash.finalize())
    }

    private static func hash(_ text: String) -> String {
        Array(text.utf8).withUnsafeBytes { self.hash($0) }
    }

    private static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for byte in bytes { text += [digits[Int(byte >> 4)], digits[Int(byte & 15)]] }
        return String(decoding: text, as: UTF8.self)
    }
}
