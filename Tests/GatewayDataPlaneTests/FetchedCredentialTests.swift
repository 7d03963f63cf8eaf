import Foundation
import GatewayCore
import GatewayDataPlane
import GatewayProviders
import GatewayRouting
import TestSupport
import Testing

/// A gateway whose one deployment fetches its credential from a server of the test's own.
private struct Fetched: Sendable {
    let provider: String
    let source: @Sendable (_ url: String) -> CredentialRecipe.Source
    let change: @Sendable (inout GatewaySetup, _ port: Int) -> Void

    init(
        _ provider: String, _ source: @escaping @Sendable (_ url: String) -> CredentialRecipe.Source,
        change: @escaping @Sendable (inout GatewaySetup, _ port: Int) -> Void = { _, _ in }
    ) {
        self.provider = provider
        self.source = source
        self.change = change
    }

    func run(
        _ body: @escaping @Sendable (TestGateway, _ provider: HandProvider, _ server: HandProvider) throws -> Void
    ) async throws {
        let server = try HandProvider()
        try await withGateway { setup, port in
            setup.deployments = []
            setup.add("chat", port: port, provider: self.provider)
            setup.deployments[0].authentication = nil
            setup.deployments[0].credentialRecipe = CredentialRecipe(
                self.source("http://127.0.0.1:\(server.port)"), authorityFile: nil)
            self.change(&setup, port)
        } _: { gateway, provider in
            defer { server.close() }
            try body(gateway, provider, server)
        }
    }
}

private func entra(_ url: String) -> CredentialRecipe.Source {
    .entra(
        EntraClient(
            tenantID: "tenant", clientID: "client", clientSecret: Secret("hidden"), scope: "https://s/.default",
            authority: url))
}

private func chain(
    _ base: AWSCredentialChain.Base, role: AWSRole? = nil, url: String
) -> CredentialRecipe.Source {
    .aws(
        AWSCredentialChain(
            base: base, role: role, region: "eu-west-1", tokenServiceURL: url,
            environment: AWSEnvironment(
                keys: nil, containerURL: nil, containerAuthorization: nil, machineURL: nil)))
}

private func assumed(_ name: String) -> String {
    "<AssumeRoleResponse><AccessKeyId>\(name)</AccessKeyId><SecretAccessKey>hidden</SecretAccessKey>"
        + "<SessionToken>session</SessionToken><Expiration>2999-01-01T00:00:00Z</Expiration></AssumeRoleResponse>"
}

@Suite("A call to a deployment whose credential is fetched", .serialized)
struct FetchedCredentialTests {
    @Test("waits for the token of Microsoft Entra, which the next calls share")
    func entraToken() async throws {
        try await Fetched("azure", entra).run { gateway, provider, server in
            let clients = [try gateway.call(), try gateway.call()]
            let asked = try server.accept()
            let request = try asked.request()
            #expect(request.head.hasPrefix("POST /tenant/oauth2/v2.0/token HTTP/1.1\r\n"))
            #expect(String(decoding: request.body, as: UTF8.self).contains("client_secret=hidden"))
            #expect(try provider.staysUnused(for: .milliseconds(50)))
            try asked.answer("{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"first\"}")
            for client in clients {
                let connection = try provider.accept()
                let sent = try connection.request()
                #expect(sent.head.hasPrefix("POST /openai/deployments/up-chat/chat/completions?api-version="))
                #expect(sent.header("authorization") == "Bearer first" && sent.header("api-key") == nil)
                try connection.answer(Wire.completion())
                connection.close()
                _ = client
            }
            for client in clients { #expect(try client.response().status == 200) }
            let third = try gateway.call()
            let connection = try provider.accept()
            #expect(try connection.request().header("authorization") == "Bearer first")
            try connection.answer(Wire.completion())
            #expect(try third.response().status == 200)
            #expect(try server.staysUnused(for: .milliseconds(50)))
            #expect(try gateway.rows().map(\.settled) == [.measured, .measured, .measured])
        }
    }

    @Test("fails as an authentication error when the token is refused, with a row of nothing and no secret")
    func refused() async throws {
        try await Fetched("azure", entra, change: { setup, _ in setup.retriesMax = 3 }).run {
            gateway, provider, server in
            let client = try gateway.call()
            let asked = try server.accept()
            _ = try asked.request()
            try asked.answer("{\"error\":\"invalid_client\",\"error_description\":\"hidden\"}", status: 401)
            let answer = try client.response()
            #expect(answer.status == 401 && answer.openAIError?["type"] as? String == "authentication_error")
            #expect(!answer.text.contains("hidden") && !answer.text.contains("127.0.0.1"))
            // For a while nobody asks again.
            #expect(try gateway.call().response().status == 401)
            #expect(try server.staysUnused(for: .milliseconds(50)))
            #expect(try provider.staysUnused(for: .zero))
            let rows = try gateway.rows()
            #expect(rows.map(\.outcome) == [.connectFailed, .connectFailed])
            #expect(rows.allSatisfy { $0.cost == .zero && $0.usage.total == 0 })
        }
    }

    @Test("falls back to another group when the token server cannot be used", arguments: [true, false])
    func fallsBack(isRefusal: Bool) async throws {
        try await Fetched(
            "azure", entra,
            change: { setup, port in
                setup.add("spare", port: port)
                setup.fallbacks = [(group: "chat", targets: ["spare"])]
            }
        ).run { gateway, provider, server in
            let client = try gateway.call()
            let asked = try server.accept()
            _ = try asked.request()
            if isRefusal { try asked.answer("{}", status: 403) } else { asked.reset() }
            let connection = try provider.accept()
            #expect(try connection.request().json["model"] as? String == "up-spare")
            try connection.answer(Wire.completion())
            #expect(try client.response().status == 200)
            #expect(try gateway.rows().map(\.outcome) == [.connectFailed, .finished])
        }
    }

    @Test(
        "fails when the token server answers with nonsense",
        arguments: [
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
            "SSH-2.0\r\n",
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", "",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 200 OK\r\n\r\n" + String(repeating: "x", count: 140_000),
            "HTTP/1.1 200 OK\r\nContent-Length: 29\r\n\r\n{\"access_token\":\"a\\r\\nb: c\"}   ",
        ])
    func nonsense(bytes: String) async throws {
        try await Fetched("azure", entra).run { gateway, _, server in
            let client = try gateway.call()
            let asked = try server.accept()
            _ = try asked.request()
            try? asked.send(bytes)
            asked.close()
            let answer = try client.response()
            #expect(answer.status == 503, "\(answer.text)")
            #expect(try gateway.rows().map(\.outcome) == [.connectFailed])
        }
    }

    @Test("is read from a chunked answer, piece by piece")
    func chunked() async throws {
        try await Fetched("azure", entra).run { gateway, provider, server in
            let client = try gateway.call()
            let asked = try server.accept()
            _ = try asked.request()
            try asked.send("HTTP/1.1 200 OK\r\nTransfer-Enc")
            try asked.send("oding: chunked\r\n\r\n11\r\n{\"access_token\": \r\n")
            try asked.send("4\r\n\"t\"}\r\n0\r\n\r\n")
            let connection = try provider.accept()
            #expect(try connection.request().header("authorization") == "Bearer t")
            try connection.answer(Wire.completion())
            #expect(try client.response().status == 200)
        }
    }

    @Test("whose caller has left is forgotten, and its place given back")
    func left() async throws {
        try await Fetched("azure", entra).run { gateway, provider, server in
            let client = try gateway.call()
            let asked = try server.accept()
            _ = try asked.request()
            client.close()
            try waitUntil("the caller to be gone") { gateway.openConnections() == 0 }
            try asked.answer("{\"access_token\":\"late\",\"expires_in\":3600}")
            let next = try gateway.call()
            let connection = try provider.accept()
            #expect(try connection.request().header("authorization") == "Bearer late")
            try connection.answer(Wire.completion())
            #expect(try next.response().status == 200)
            #expect(try gateway.rows().count == 1)
        }
    }

    @Test("keeps its credential when the configuration is loaded again")
    func reload() async throws {
        let server = try HandProvider()
        defer { server.close() }
        let provider = try HandProvider()
        defer { provider.close() }
        var setup = GatewaySetup()
        setup.add("chat", port: provider.port, provider: "azure")
        setup.deployments[0].authentication = nil
        setup.deployments[0].credentialRecipe = CredentialRecipe(
            entra("http://127.0.0.1:\(server.port)"), authorityFile: nil)
        let settled = setup
        try await withGateway(settled) { gateway in
            let client = try gateway.call()
            let asked = try server.accept()
            _ = try asked.request()
            try asked.answer("{\"access_token\":\"kept\",\"expires_in\":3600}")
            let first = try provider.accept()
            _ = try first.request()
            try first.answer(Wire.completion())
            #expect(try client.response().status == 200)
            gateway.server.replace(try TestGateway.snapshot(settled, former: gateway.snapshot))
            let next = try gateway.call()
            #expect(try first.request().header("authorization") == "Bearer kept")
            try first.answer(Wire.completion())
            #expect(try next.response().status == 200)
            #expect(try server.staysUnused(for: .milliseconds(50)))
        }
    }

    // MARK: Google

    @Test("gets the token of the machine it runs on from Google's metadata server")
    func googleMachine() async throws {
        try await Fetched("vertex_ai", { .google(.machine(url: $0)) }).run { gateway, provider, server in
            let client = try gateway.call()
            let asked = try server.accept()
            let request = try asked.request()
            #expect(request.head.hasPrefix("GET /computeMetadata/v1/instance/service-accounts/default/token "))
            #expect(request.header("metadata-flavor") == "Google")
            try asked.answer("{\"access_token\":\"ya29\",\"expires_in\":3599,\"token_type\":\"Bearer\"}")
            let connection = try provider.accept()
            #expect(try connection.request().header("authorization") == "Bearer ya29")
            try connection.answer(Wire.candidate())
            #expect(try client.response().status == 200)
        }
    }

    @Test("fails at once when the file of its credentials is no such file")
    func googleFile() async throws {
        try await Fetched("vertex_ai", { _ in .google(.file(path: "/dev/null/none")) }).run { gateway, provider, _ in
            let answer = try gateway.call().response()
            #expect(answer.status == 401 && !answer.text.contains("/dev/null"))
            #expect(try provider.staysUnused(for: .zero))
        }
    }

    // MARK: AWS

    @Test("is signed with the keys of the machine's role")
    func machine() async throws {
        try await Fetched("bedrock", { chain(.machine(url: $0), url: $0) }).run { gateway, provider, server in
            let client = try gateway.call()
            let steps = [
                ("PUT /latest/api/token ", "session-token"),
                ("GET /latest/meta-data/iam/security-credentials/ ", "my-role\n"),
                (
                    "GET /latest/meta-data/iam/security-credentials/my-role ",
                    "{\"AccessKeyId\":\"ASIA\",\"SecretAccessKey\":\"hidden\",\"Token\":\"session\","
                        + "\"Expiration\":\"2999-01-01T00:00:00Z\"}"
                ),
            ]
            for (line, answer) in steps {
                let asked = try server.accept()
                let request = try asked.request()
                #expect(request.head.hasPrefix(line))
                if !line.hasPrefix("PUT") { #expect(request.header("x-aws-ec2-metadata-token") == "session-token") }
                try asked.answer(answer)
            }
            let connection = try provider.accept()
            let request = try connection.request()
            #expect(request.header("authorization")?.hasPrefix("AWS4-HMAC-SHA256 Credential=ASIA/") == true)
            #expect(request.header("x-amz-security-token") == "session" && !request.head.contains("hidden"))
            try connection.answer(Wire.converse())
            #expect(try client.response().status == 200)
        }
    }

    @Test("is signed with the keys of a container, asked for with its token")
    func container() async throws {
        try await Fetched(
            "bedrock",
            { chain(.container(url: "\($0)/v2/keys?id=1", authorization: .text(Secret("let-me"))), url: $0) }
        ).run { gateway, provider, server in
            let client = try gateway.call()
            let asked = try server.accept()
            let request = try asked.request()
            #expect(request.head.hasPrefix("GET /v2/keys?id=1 ") && request.header("authorization") == "let-me")
            try asked.answer("{\"AccessKeyId\":\"ASIA\",\"SecretAccessKey\":\"hidden\",\"Token\":\"session\"}")
            let connection = try provider.accept()
            #expect(try connection.request().header("authorization")?.contains("Credential=ASIA/") == true)
            try connection.answer(Wire.converse())
            #expect(try client.response().status == 200)
        }
    }

    @Test(
        "is signed with the keys of a role that is taken on, by configured keys or by a web identity",
        arguments: [true, false])
    func role(isSigned: Bool) async throws {
        let role = AWSRole(arn: "arn:aws:iam::1:role/r", sessionName: "me", externalID: isSigned ? "e 1" : nil)
        let keys = AWSKeyPair(accessKeyID: "AKID", secretAccessKey: Secret("hidden"), sessionToken: nil)
        try await Fetched(
            "bedrock",
            {
                isSigned
                    ? chain(.keys(keys), role: role, url: $0)
                    : chain(.webIdentity(token: .text(Secret(" id-token\n")), role: role), url: $0)
            }
        ).run { gateway, provider, server in
            let client = try gateway.call()
            let asked = try server.accept()
            let request = try asked.request()
            let body = String(decoding: request.body, as: UTF8.self)
            #expect(request.head.hasPrefix("POST / HTTP/1.1"))
            #expect(body.contains("RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&RoleSessionName=me"))
            if isSigned {
                #expect(body.hasPrefix("Action=AssumeRole&") && body.hasSuffix("ExternalId=e%201"))
                let line = try #require(request.header("authorization"))
                #expect(line.hasPrefix("AWS4-HMAC-SHA256 Credential=AKID/"))
                #expect(line.contains("/eu-west-1/sts/aws4_request"))
            } else {
                #expect(body.hasPrefix("Action=AssumeRoleWithWebIdentity&"))
                #expect(body.hasSuffix("WebIdentityToken=id-token"))
                #expect(request.header("authorization") == nil)
            }
            try asked.answer(assumed("ASIA"))
            let connection = try provider.accept()
            #expect(try connection.request().header("authorization")?.contains("Credential=ASIA/") == true)
            try connection.answer(Wire.converse())
            #expect(try client.response().status == 200)
        }
    }

    @Test("is signed with the keys of a profile, through the profile it refers to")
    func profile() async throws {
        let directory = NSTemporaryDirectory() + "/martlet-aws-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let files = AWSProfileFiles(credentials: directory + "/credentials", config: directory + "/config")
        try "[base]\naws_access_key_id = AKID\naws_secret_access_key = hidden\n"
            .write(toFile: files.credentials, atomically: true, encoding: .utf8)
        let profiles = "[profile work]\nrole_arn = arn:r\nsource_profile = base\n"
        try (profiles + "[profile loop]\nrole_arn = x\nsource_profile = loop\n").write(
            toFile: files.config, atomically: true, encoding: .utf8)
        try await Fetched(
            "bedrock", { chain(.profile(name: "work", files: files), url: $0) },
            change: { setup, port in
                setup.add("loop", port: port, provider: "bedrock")
                setup.deployments[1].authentication = nil
                setup.deployments[1].credentialRecipe = CredentialRecipe(
                    chain(.profile(name: "loop", files: files), url: "http://127.0.0.1:1"), authorityFile: nil)
            }
        ).run { gateway, provider, server in
            let client = try gateway.call()
            let asked = try server.accept()
            #expect(try asked.request().header("authorization")?.contains("Credential=AKID/") == true)
            try asked.answer(assumed("ASIA"))
            let connection = try provider.accept()
            #expect(try connection.request().header("authorization")?.contains("Credential=ASIA/") == true)
            try connection.answer(Wire.converse())
            #expect(try client.response().status == 200)
            #expect(try gateway.call(Wire.chat("loop")).response().status == 401)
        }
    }
}
