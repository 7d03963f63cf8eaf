import GatewayProviders
import Testing

/// Vectors of AWS's own test suite for Signature Version 4, and one that its SDK for Python made.
@Suite("An AWS signature")
struct AWSSignatureTests {
    struct Vector: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var method = "GET"
        var host = "example.amazonaws.com"
        var path = "/"
        var query = ""
        var contentType: String?
        var body = ""
        var service = "service"
        var signature: String
    }

    private static let vectors = [
        Vector(
            testDescription: "get-vanilla",
            signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        Vector(
            testDescription: "post-vanilla", method: "POST",
            signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        Vector(
            testDescription: "get-vanilla-query-order-key-case", query: "Param2=value2&Param1=value1",
            signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        Vector(
            testDescription: "get-utf8", path: "/ሴ",
            signature: "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
        Vector(
            testDescription: "post-x-www-form-urlencoded", method: "POST",
            contentType: "application/x-www-form-urlencoded", body: "Param1=value1",
            signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
        Vector(
            testDescription: "the documentation's ListUsers", host: "iam.amazonaws.com",
            query: "Action=ListUsers&Version=2010-05-08",
            contentType: "application/x-www-form-urlencoded; charset=utf-8", service: "iam",
            signature: "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"),
    ]

    private static let credentials = AWSCredentials(
        accessKeyID: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", sessionToken: nil)

    @Test("is the one that AWS published", arguments: vectors)
    func published(vector: Vector) {
        let headers = Array(vector.body.utf8).withUnsafeBytes { body in
            AWSSignature.headers(
                method: vector.method, host: vector.host, path: vector.path, query: vector.query,
                signing: vector.contentType.map { [("content-type", $0)] } ?? [], body: body, date: 1_440_938_160,
                credentials: Self.credentials, region: "us-east-1", service: vector.service)
        }
        #expect(headers.map(\.name) == ["X-Amz-Date", "Authorization"])
        #expect(headers[0].value == "20150830T123600Z")
        let names = vector.contentType == nil ? "host;x-amz-date" : "content-type;host;x-amz-date"
        #expect(
            headers[1].value
                == "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/\(vector.service)/aws4_request, "
                + "SignedHeaders=\(names), Signature=\(vector.signature)")
    }

    @Test("of a call of Bedrock is the one that AWS's SDK makes, with the path encoded twice and the session's token")
    func bedrock() throws {
        let (provider, model) = try Provider.resolve(
            modelString: "bedrock/us.anthropic.claude-x-v1:0", customProvider: nil)
        let headers = Array(#"{"messages":[]}"#.utf8).withUnsafeBytes { body in
            AWSSignature.headers(
                method: "POST", host: "bedrock-runtime.eu-west-1.amazonaws.com",
                path: provider.path(for: .bedrock, model: model, isStream: true), query: "", body: body,
                date: 1_795_428_007,
                credentials: AWSCredentials(
                    accessKeyID: Self.credentials.accessKeyID, secretAccessKey: Self.credentials.secretAccessKey,
                    sessionToken: "TOKEN"), region: "eu-west-1", service: "bedrock")
        }
        #expect(headers.map(\.name) == ["X-Amz-Date", "X-Amz-Security-Token", "Authorization"])
        #expect(headers[0].value == "20261123T100007Z")
        #expect(headers[1].value == "TOKEN")
        #expect(
            headers[2].value.hasSuffix("8212c9e8f96108db634fbc6259660bbeccedff7467b84472c1f314dd418940dd"))
    }

    @Test(
        "bears the time as AWS writes it",
        arguments: [
            (0, "19700101T000000Z"), (951_782_399, "20000228T235959Z"), (951_782_400, "20000229T000000Z"),
            (951_868_800, "20000301T000000Z"), (1_735_689_599, "20241231T235959Z"), (-5, "19700101T000000Z"),
            (4_107_542_400, "21000301T000000Z"), (Int64.max, "99991231T235959Z"),
        ] as [(Int64, String)])
    func time(seconds: Int64, text: String) { #expect(AWSSignature.timestamp(seconds) == text) }

    @Test("keeps the secret out of descriptions")
    func redacted() {
        #expect(!"\(Self.credentials)".contains("wJalr"))
        #expect(!String(reflecting: Self.credentials).contains("wJalr"))
    }
}
