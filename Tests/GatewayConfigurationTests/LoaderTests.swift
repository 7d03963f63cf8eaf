import GatewayConfiguration
import GatewayRouting
import Testing

@Suite("The configuration loader")
struct LoaderTests {
    @Test("serves the demo model when nothing is configured")
    func servesDemo() throws {
        let result = ConfigurationLoader().load(
            file: nil, environment: [:], overrides: CommandLineOverrides())
        let settings = try #require(result.settings)
        #expect(result.diagnostics.isEmpty && result.files.isEmpty)
        #expect(settings.routing.deployments.map(\.modelGroup) == ["demo"])
        #expect(settings.routing.deployments.map(\.answer) == [.demo])
        #expect(settings.prices.keys.sorted() == ["demo"] && settings.modelInfo["demo"]?.mode == "chat")
    }

    @Test("makes a wildcard group of each provider whose key is in the environment")
    func readsEnvironment() throws {
        let environment = [
            "OPENAI_API_KEY": "one", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "GROQ_API_KEY": "two",
            "OLLAMA_API_BASE": "http://ollama:11434", "MISTRAL_API_KEY": "",
        ]
        let result = ConfigurationLoader().load(
            file: nil, environment: environment, overrides: CommandLineOverrides())
        let deployments = try #require(result.settings).routing.deployments
        let byGroup = Dictionary(deployments.map { ($0.modelGroup, $0) }) { first, _ in first }
        #expect(byGroup["openai/*"]?.address?.host == "127.0.0.1" && byGroup["*"]?.address?.port == 9)
        #expect(byGroup["groq/*"]?.authentication?.value.reveal() == "Bearer two")
        #expect(byGroup["ollama/*"]?.address?.basePath == "/v1")
        #expect(byGroup["ollama/*"]?.authentication == nil)
        #expect(byGroup["mistral/*"] == nil && byGroup["demo"] == nil)
        #expect(deployments.allSatisfy { $0.model == "*" })
        #expect(Set(deployments.map(\.deploymentID)).count == deployments.count)
    }

    @Test("says when the only key in the environment is for a provider that it cannot call")
    func reportsUnusedKeys() {
        let result = ConfigurationLoader().load(
            file: nil, environment: ["AZURE_API_KEY": "x"], overrides: CommandLineOverrides())
        #expect(result.settings?.routing.deployments.map(\.modelGroup) == ["demo"])
        #expect(result.diagnostics.map(\.keyPath) == ["AZURE_API_KEY"])
    }

    @Test("refuses keys in the environment that cannot be sent")
    func refusesBadKeys() {
        for key in ["line\nbreak", " blank", "\u{0}", "x\r\nX-Evil: 1"] {
            let result = ConfigurationLoader().load(
                file: nil, environment: ["OPENAI_API_KEY": key], overrides: CommandLineOverrides())
            #expect(result.settings == nil)
        }
    }

    @Test("takes a time zone that the machine knows, and no other")
    func timeZone() throws {
        let known = Fixture.load(Fixture.model("litellm_settings: {timezone: Europe/Warsaw}"), environment: [:])
        #expect(known.settings?.governance.timeZone == "Europe/Warsaw" && known.diagnostics.isEmpty)
        let unknown = Fixture.load(Fixture.model("litellm_settings: {timezone: Mars/Olympus}"), environment: [:])
        #expect(unknown.settings == nil && unknown.diagnostics.map(\.keyPath) == ["litellm_settings.timezone"])
        let silent = Fixture.load(Fixture.model(""), environment: [:])
        #expect(silent.settings?.governance.timeZone == "Etc/UTC")
    }

    @Test("lets flags win over variables, variables over our section, and that over LiteLLM's")
    func ordersSources() throws {
        let file = Fixture.model(
            """
            martlet: {port: 1, host: file, log_level: error, data_directory: file, total_timeout_seconds: 7}
            router_settings: {timeout: 8}
            litellm_settings: {request_timeout: 9, num_retries: 4}
            general_settings: {master_key: sk-from-file-0123456789}
            """)
        let variables = [
            "MARTLET_PORT": "2", "MARTLET_HOST": "variable", "MARTLET_DATA": "variable",
            "LITELLM_LOG": "INFO",
            "LITELLM_MASTER_KEY": "sk-from-variable-0123456789", "GRACEFUL_SHUTDOWN_TIMEOUT": "11",
        ]
        let fromFile = try #require(Fixture.load(file, environment: [:]).settings)
        #expect(
            fromFile.dataPlane.port == 1 && fromFile.dataPlane.host == "file"
                && fromFile.logLevel == .error)
        #expect(fromFile.dataPlane.totalTimeout == .seconds(7) && fromFile.routing.retriesMax == 4)
        let fromVariables = try #require(Fixture.load(file, environment: variables).settings)
        #expect(fromVariables.dataPlane.port == 2 && fromVariables.dataPlane.host == "variable")
        #expect(fromVariables.dataDirectory == "variable" && fromVariables.logLevel == .error)
        #expect(fromVariables.masterKey?.reveal() == "sk-from-file-0123456789")
        #expect(fromVariables.dataPlane.drainTimeout == .seconds(11))
        let twins = variables.merging([
            "MARTLET_MASTER_KEY": "sk-from-twin-0123456789", "MARTLET_LOG": "WARN",
            "MARTLET_GRACEFUL_SHUTDOWN_TIMEOUT": "12",
        ]) { $1 }
        let overrides = CommandLineOverrides(host: "flag", port: 0, dataDirectory: "flag", threads: 3)
        let fromFlags = try #require(
            Fixture.load(file, environment: twins, overrides: overrides).settings)
        #expect(fromFlags.dataPlane.port == 0 && fromFlags.dataPlane.host == "flag")
        #expect(fromFlags.dataDirectory == "flag" && fromFlags.dataPlane.eventLoops == 3)
        #expect(fromFlags.logLevel == .warning && fromFlags.dataPlane.drainTimeout == .seconds(12))
        #expect(fromFlags.masterKey?.reveal() == "sk-from-twin-0123456789")
    }

    @Test("refuses flags and variables out of range")
    func refusesBadFlags() {
        let flags = [
            CommandLineOverrides(port: 70_000), CommandLineOverrides(port: -1),
            CommandLineOverrides(threads: 5000),
            CommandLineOverrides(logLevel: "loud"), CommandLineOverrides(host: ""),
            CommandLineOverrides(dataDirectory: ""),
        ]
        for overrides in flags {
            #expect(Fixture.load(Fixture.model(), overrides: overrides).settings == nil)
        }
        for (name, value) in [
            ("MARTLET_PORT", "x"), ("MARTLET_PORT", "70000"), ("LITELLM_LOG", "loud"),
            ("KEEPALIVE_TIMEOUT", "soon"), ("GRACEFUL_SHUTDOWN_TIMEOUT", "-1"),
        ] {
            #expect(
                Fixture.load(Fixture.model(), environment: [name: value]).settings == nil,
                "\(name)=\(value)")
        }
    }

    @Test("merges included files and says what is set twice")
    func includes() throws {
        var reader = MemoryReader(files: [:])
        reader.files["dir/config.yaml"] = Array(
            "include: [models.yaml]\nlitellm_settings: {num_retries: 1}\n".utf8)
        let more = "litellm_settings: {request_timeout: 5}\nrouter_settings: {cooldown_time: 1}\n"
        reader.files["dir/models.yaml"] = Array(Fixture.model(more).utf8)
        func load() -> LoadResult {
            ConfigurationLoader(reader: reader).load(
                file: "dir/config.yaml", environment: [:], overrides: CommandLineOverrides())
        }
        let settings = try #require(load().settings)
        #expect(settings.routing.retriesMax == 1 && settings.dataPlane.totalTimeout == .seconds(5))
        #expect(load().files == ["dir/config.yaml", "dir/models.yaml"])
        reader.files["dir/models.yaml"] = Array(
            Fixture.model("litellm_settings: {num_retries: 2}\ninclude: [deeper.yaml]\n").utf8)
        #expect(
            load().diagnostics.map(\.rendered) == [
                "dir/models.yaml:4:20: error: the key is set in two files; keep one",
                "dir/models.yaml:5:1: error: an included file includes others; name them in the main file",
            ])
        reader.files["dir/models.yaml"] = nil
        let missing = load()
        let place = SourcePosition(file: "dir/config.yaml", line: 1, column: 11)
        #expect(missing.diagnostics.map(\.position).contains(place))
        #expect(missing.files == ["dir/config.yaml", "dir/models.yaml"])
    }

    @Test("checks journal sizes, body sizes and TLS files against one another")
    func checksTogether() {
        for section in [
            "{journal_bytes_max: 1048576, journal_segment_bytes: 524288}", "{tls_key_file: a}",
            "{tls_certificate_file: a}", "{adopt_journals_from: /pods}",
            "{request_body_bytes_max: 2048, request_bodies_bytes_max: 1024}",
        ] {
            let result = Fixture.load(Fixture.model("martlet: \(section)\n"))
            #expect(result.diagnostics.count == 1 && result.settings == nil, "\(section)")
        }
    }

    @Test(
        "reads how long usage rows are kept in LiteLLM's form",
        arguments: [
            ("30d", 2_592_000), ("24h", 86_400), ("60m", 3600), ("3600s", 3600), ("7200", 7200), ("2w", 1_209_600),
        ])
    func retention(text: String, seconds: Int) throws {
        let key = "maximum_spend_logs_retention_period"
        let result = Fixture.load(Fixture.model("general_settings: {\(key): \"\(text)\"}\n"))
        #expect(result.settings?.fleet.retention == .seconds(seconds), "\(result.diagnostics)")
        #expect(Fixture.load(Fixture.model("")).settings?.fleet.retention == nil)
    }

    @Test("refuses a retention that is none", arguments: ["30", "0d", "-1d", "1.5d", "d", "30 days", "37000d", "59m"])
    func badRetention(text: String) {
        let key = "maximum_spend_logs_retention_period"
        let result = Fixture.load(Fixture.model("general_settings: {\(key): \"\(text)\"}\n"))
        #expect(result.settings == nil && result.diagnostics.map(\.keyPath) == ["general_settings.\(key)"], "\(text)")
    }

    @Test(
        "takes the base URLs of real deployments",
        arguments: [
            ("https://api.openai.com/v1", "https api.openai.com:443/v1"),
            ("http://localhost", "http localhost:80"),
            ("HTTPS://API.Example.COM:8443/a/b//", "https api.example.com:8443/a/b"),
            ("http://[2001:db8::1]:81/v1", "http 2001:db8::1:81/v1"),
            ("http://my_service:8000/v1", "http my_service:8000/v1"),
            ("http://[::ffff:10.0.0.1]", "http ::ffff:10.0.0.1:80"),
            ("https://example.com./x%20y", "https example.com.:443/x%20y"),
        ])
    func takesURLs(url: String, expected: String) throws {
        let text =
            "model_list:\n  - {model_name: m, litellm_params: {model: openai/m, api_key: k, api_base: \"\(url)\"}}\n"
        let address = try #require(Fixture.load(text).settings?.routing.deployments.first?.address)
        #expect(
            "\(address.isTLS ? "https" : "http") \(address.host):\(address.port)\(address.basePath)"
                == expected)
    }

    @Test(
        "refuses what is no base URL",
        arguments: [
            "", "example.com", "//example.com", "ws://example.com", "http://", "http:///v1", "http://a b",
            "http://-a.com",
            "http://a..b", "http://1.2.3", "http://256.1.1.1", "http://1.2.3.4.5", "http://a:",
            "http://a:0", "http://a:65536",
            "http://a:+1", "http://a:1x", "http://[::1", "http://[:::1]", "http://[1::2::3]",
            "http://[12345::]", "http://[g::]",
            "http://[1:2:3:4:5:6:7:8:9]", "http://[]", "http://[::1]x", "http://u@a", "http://a/#f",
            "http://a/?q",
            "http://a/b c", "http://a/../b", "http://a/\\u0000", "http://ä.example",
            "http://a/\\r\\nX: y",
        ])
    func refusesURLs(url: String) {
        // An empty port is allowed by RFC 3986, section 3.2.3.
        let isAllowed = url == "http://a:"
        let text =
            "model_list:\n  - {model_name: m, litellm_params: {model: openai/m, api_key: k, api_base: \"\(url)\"}}\n"
        #expect((Fixture.load(text).settings != nil) == isAllowed, "\(url)")
    }
}
