import Crypto
import CryptoExtras
import Foundation
import GatewayProviders
import Testing

@Suite("A profile of AWS")
struct AWSProfileTests {
    private static let credentials = """
        # comment
        [default]
        aws_access_key_id = AKID
        aws_secret_access_key=secret=with=equals
        [ other ]
        AWS_ACCESS_KEY_ID = OTHER
        aws_secret_access_key = s
        aws_session_token = t
          nested = x
        [empty]
        aws_access_key_id =
        """
    private static let config = """
        [default]
        region = eu-west-1
        aws_access_key_id = LOSES
        [profile role]
        role_arn = arn:aws:iam::1:role/r
        source_profile = default
        external_id = e
        [profile web]
        role_arn = a
        web_identity_token_file = /t
        [profile sso]
        sso_session = s
        [role]
        role_arn = not-this
        """

    @Test("has the keys of the credentials file, which wins")
    func keys() {
        let profile = AWSProfile.find("default", credentials: Self.credentials, config: Self.config)
        #expect(
            profile?.keys
                == AWSCredentials(
                    accessKeyID: "AKID", secretAccessKey: "secret=with=equals", sessionToken: nil))
        let other = AWSProfile.find("other", credentials: Self.credentials, config: Self.config)
        #expect(other?.keys == AWSCredentials(accessKeyID: "OTHER", secretAccessKey: "s", sessionToken: "t"))
        #expect(!"\(profile as Any)".contains("equals"))
    }

    @Test("may be a role")
    func role() {
        let role = AWSProfile.find("role", credentials: Self.credentials, config: Self.config)
        #expect(role?.roleARN == "arn:aws:iam::1:role/r" && role?.sourceProfile == "default" && role?.externalID == "e")
        let web = AWSProfile.find("web", credentials: "", config: Self.config)
        #expect(web?.webIdentityTokenFile == "/t" && web?.keys == nil)
        #expect(AWSProfile.find("sso", credentials: "", config: Self.config)?.foreignKey == "sso_session")
    }

    @Test("without a section is none, and one with an empty key has none")
    func missing() {
        #expect(AWSProfile.find("nobody", credentials: Self.credentials, config: Self.config) == nil)
        let empty = AWSProfile.find("empty", credentials: Self.credentials, config: "")
        #expect(empty != nil && empty?.keys == nil)
        #expect(AWSProfile.find("default", credentials: "aws_access_key_id = A", config: "[") == nil)
    }
}

@Suite("Fetched keys of AWS")
struct AWSCredentialAnswerTests {
    @Test("are read from a machine's JSON")
    func json() throws {
        let text = """
            {"Code":"Success","AccessKeyId":"A","SecretAccessKey":"S","Token":"T\\/","Expiration":"2026-11-23T20:00:00Z"}
            """
        let answer = try #require(AWSCredentialAnswer(json: Array(text.utf8)))
        #expect(answer.credentials == AWSCredentials(accessKeyID: "A", secretAccessKey: "S", sessionToken: "T/"))
        #expect(answer.expiresAt == 1_795_464_000)
        for text in [
            "", "[]", "{}", "{\"AccessKeyId\":7,\"SecretAccessKey\":null}", "{\"AccessKeyId\":\"A\"}", "<html>",
        ] {
            #expect(AWSCredentialAnswer(json: Array(text.utf8)) == nil)
        }
    }

    @Test("are read from the token service's XML")
    func xml() throws {
        let text = """
            <AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
            <AccessKeyId>A</AccessKeyId><SecretAccessKey>S&amp;lt;</SecretAccessKey><SessionToken>T</SessionToken>
            <Expiration>1970-01-01T00:01:00.5Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>
            """
        let answer = try #require(AWSCredentialAnswer(xml: Array(text.utf8)))
        #expect(answer.credentials == AWSCredentials(accessKeyID: "A", secretAccessKey: "S&lt;", sessionToken: "T"))
        #expect(answer.expiresAt == 60)
        let error = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
        #expect(AWSCredentialAnswer(xml: Array(error.utf8)) == nil)
        #expect(AWSCredentialAnswer.errorCode(xml: Array(error.utf8)) == "AccessDenied")
        #expect(AWSCredentialAnswer.errorCode(xml: Array("<Code>a b\n</Code>".utf8)) == nil)
        #expect(AWSCredentialAnswer(xml: Array("</AccessKeyId><AccessKeyId>".utf8)) == nil)
    }

    @Test(
        "end at a time of UTC",
        arguments: [
            ("1970-01-01T00:00:00Z", 0), ("2000-02-29T23:59:59Z", 951_868_799), ("2015-08-30T12:36:00Z", 1_440_938_160),
            ("2100-03-01T00:00:00.123Z", 4_107_542_400),
        ])
    func time(text: String, seconds: Int64) { #expect(AWSCredentialAnswer.seconds(iso8601: text) == seconds) }

    @Test(
        "do not end at what is no time",
        arguments: [
            "", "Z", "2026-13-01T00:00:00Z", "2026-11-23T20:00:00+01:00",
            "2026-11-23 20:00:00Z", "20261123T200000Z....", "2026-11-2xT20:00:00Z",
        ])
    func noTime(text: String) { #expect(AWSCredentialAnswer.seconds(iso8601: text) == nil) }
}

@Suite("A Google account")
struct GoogleAccountTests {
    private static func file(_ pem: String, type: String = "service_account") throws -> [UInt8] {
        Array(
            try JSONSerialization.data(withJSONObject: [
                "type": type, "project_id": "p1", "private_key_id": "k1", "private_key": pem,
                "client_email": "a@p1.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token",
            ]))
    }

    @Test("of a service signs what Google verifies", arguments: [false, true])
    func signs(isPKCS8: Bool) throws {
        let key = try _RSA.Signing.PrivateKey(keySize: .bits2048)
        let pem = isPKCS8 ? key.pkcs8PEMRepresentation : key.pemRepresentation
        let (account, project) = try GoogleAccount.read(Self.file(pem))
        #expect(project == "p1" && !"\(account)".contains("BEGIN"))
        let request = try account.tokenRequest(now: 1_700_000_000)
        #expect(request.url == "https://oauth2.googleapis.com/token")
        let assertion = try #require(request.body.split(separator: "=").last)
        let parts = assertion.split(separator: ".")
        #expect(parts.count == 3)
        var base64 = parts[2].replacingOccurrences(of: "-", with: "+").replacingOccurrences(of: "_", with: "/")
        while base64.count % 4 != 0 { base64 += "=" }
        let signature = _RSA.Signing.RSASignature(rawRepresentation: try #require(Data(base64Encoded: base64)))
        let signed = SHA256.hash(data: Data("\(parts[0]).\(parts[1])".utf8))
        #expect(key.publicKey.isValidSignature(signature, for: signed, padding: .insecurePKCS1v1_5))
    }

    @Test("of a person asks with the refresh token")
    func person() throws {
        let text =
            "{\"type\":\"authorized_user\",\"client_id\":\"c\",\"client_secret\":\"s\",\"refresh_token\":\"r/1\"}"
        let request = try GoogleAccount.read(Array(text.utf8)).account.tokenRequest(now: 0)
        #expect(request.url == "https://oauth2.googleapis.com/token")
        #expect(request.body == "grant_type=refresh_token&client_id=c&client_secret=s&refresh_token=r%2F1")
    }

    @Test("that cannot be used says why, without what is in it")
    func faults() throws {
        #expect(throws: GoogleAccount.Fault.notJSON) { try GoogleAccount.read(Array("planted".utf8)) }
        #expect(throws: GoogleAccount.Fault.typeNotServed) {
            try GoogleAccount.read(Self.file("planted", type: "external_account"))
        }
        #expect(throws: GoogleAccount.Fault.memberMissing("private_key")) { try GoogleAccount.read(Self.file("")) }
        let account = try GoogleAccount.read(Self.file("planted")).account
        #expect(throws: GoogleAccount.Fault.keyUnreadable) { try account.tokenRequest(now: 0) }
    }
}

@Suite("An answer of a token server")
struct OAuthTokenAnswerTests {
    @Test("has a token and how long it lives, as a number or a text")
    func token() {
        let answer = OAuthTokenAnswer(json: Array("{\"access_token\":\"t\",\"expires_in\":3599,\"x\":{}}".utf8))
        #expect(answer?.accessToken == "t" && answer?.expiresIn == 3599)
        let text = OAuthTokenAnswer(json: Array("{\"access_token\":\"t\",\"expires_in\":\"60\"}".utf8))
        #expect(text?.expiresIn == 60)
        #expect(!"\(text as Any)".contains("\"t\""))
    }

    @Test(
        "has none that could be sent",
        arguments: ["{}", "{\"access_token\":\"\"}", "{\"access_token\":\"a\\nb\"}", "no"])
    func none(text: String) { #expect(OAuthTokenAnswer(json: Array(text.utf8)) == nil) }

    @Test("names its error, if it is a name")
    func error() {
        #expect(OAuthTokenAnswer.errorCode(json: Array("{\"error\":\"invalid_grant\"}".utf8)) == "invalid_grant")
        #expect(OAuthTokenAnswer.errorCode(json: Array("{\"error\":\"a secret\"}".utf8)) == nil)
        #expect(OAuthTokenAnswer.errorCode(json: Array("{\"error\":{}}".utf8)) == nil)
    }
}

@Suite("An address that credentials are fetched from")
struct CredentialURLTests {
    @Test(
        "is https, or this machine or its cloud",
        arguments: [
            ("https://a.b/c?d=e", "a.b", 443, "/c?d=e"), ("https://A.b", "a.b", 443, "/"),
            ("http://127.0.0.1:8080/x", "127.0.0.1", 8080, "/x"), ("http://[::1]:9/x", "::1", 9, "/x"),
            ("http://169.254.169.254/latest", "169.254.169.254", 80, "/latest"), ("https://a?b", "a", 443, "/?b"),
        ])
    func good(text: String, host: String, port: Int, target: String) {
        let url = CredentialURL(text)
        #expect(url?.host == host && url?.port == port && url?.target == target)
    }

    @Test(
        "is nothing else",
        arguments: [
            "", "a.b", "ftp://a", "http://a.b/", "http://127.example.com/", "http://169.254.169.254.example.com/",
            "https://u:p@a/", "https://a:0/", "https://a:x/", "https:///x", "https://a/b c", "https://a/\r\nx",
            "https://a/#f", "http://127.0.0.1@a.b/", "https://[::1", "http://127.0.0.1\\@a.b/",
        ])
    func bad(text: String) { #expect(CredentialURL(text) == nil) }
}
