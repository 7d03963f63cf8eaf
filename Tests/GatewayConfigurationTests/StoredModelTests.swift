import GatewayConfiguration
import GatewayControlPlane
import GatewayCore
import GatewayRouting
import Testing

@Suite("Models of the store")
struct StoredModelTests {
    private static let secret = "planted-stored-secret-77"
    private static let on = "general_settings: {store_model_in_db: true}\n"

    private static func model(
        _ id: String, name: String = "stored", _ parameters: String, info: String = "{}"
    ) -> OpenedModel {
        OpenedModel(
            modelID: id, modelName: name, parameters: JSONValue.parsed(parameters) ?? .null,
            info: JSONValue.parsed(info) ?? .null, createdBy: "test", createdAt: UnixMicroseconds(rawValue: 0),
            updatedAt: UnixMicroseconds(rawValue: 0))
    }

    private static func good(_ id: String, name: String = "stored") -> OpenedModel {
        Self.model(id, name: name, #"{"model":"openai/gpt-4o","api_key":"\#(Self.secret)"}"#)
    }

    private static func credential(_ name: String, _ values: String) -> OpenedCredential {
        OpenedCredential(
            name: name, values: JSONValue.parsed(values) ?? .null, info: .object([]),
            createdAt: UnixMicroseconds(rawValue: 0), updatedAt: UnixMicroseconds(rawValue: 0))
    }

    private func load(
        _ text: String?, models: [OpenedModel] = [], credentials: [OpenedCredential] = [],
        environment: [String: String] = Fixture.environment
    ) -> LoadResult {
        let files = text.map { ["config.yaml": Array($0.utf8)] } ?? [:]
        return ConfigurationLoader(reader: MemoryReader(files: files)).load(
            file: text == nil ? nil : "config.yaml", environment: environment, overrides: CommandLineOverrides(),
            stored: OpenedModels(models: models, credentials: credentials))
    }

    private func verdict(
        _ candidate: StoredCandidate, _ text: String = Fixture.model(Self.on), models: [OpenedModel] = [],
        credentials: [OpenedCredential] = []
    ) -> CandidateVerdict {
        ConfigurationLoader(reader: MemoryReader(files: ["config.yaml": Array(text.utf8)])).verdict(
            on: candidate, file: "config.yaml", environment: Fixture.environment, overrides: CommandLineOverrides(),
            stored: OpenedModels(models: models, credentials: credentials))
    }

    private func deployment(_ result: LoadResult, _ id: String) -> DeploymentConfiguration? {
        result.settings?.routing.deployments.first { $0.deploymentID == id }
    }

    @Test("become deployments beside those of the file")
    func merge() throws {
        let result = self.load(Fixture.model(Self.on), models: [Self.good("s-1"), Self.good("s-2", name: "m")])
        #expect(result.diagnostics.isEmpty == false || result.settings != nil)
        let settings = try #require(result.settings)
        #expect(settings.storesModels && settings.routing.deployments.map(\.modelGroup) == ["m", "stored", "m"])
        let stored = try #require(self.deployment(result, "s-1"))
        #expect(stored.provider == "openai" && stored.model == "gpt-4o")
        #expect(stored.authentication?.value.reveal() == "Bearer \(Self.secret)")
        #expect(settings.prices["s-1"]?.model == "gpt-4o" && settings.modelInfo["s-1"] != nil)
        #expect(result.stored.rejected.isEmpty)
    }

    @Test(
        "count only while store_model_in_db is on",
        arguments: [
            ("", [:], false), ("general_settings: {store_model_in_db: true}\n", [:], true),
            ("general_settings: {store_model_in_db: false}\n", [:], false),
            ("", ["STORE_MODEL_IN_DB": "True"], true), ("", ["STORE_MODEL_IN_DB": "False"], false),
            ("general_settings: {store_model_in_db: true}\n", ["STORE_MODEL_IN_DB": "False"], true),
            ("general_settings: {store_model_in_db: true}\n", ["MARTLET_STORE_MODEL_IN_DB": "false"], false),
            ("", ["MARTLET_STORE_MODEL_IN_DB": "true", "STORE_MODEL_IN_DB": "false"], true),
        ] as [(String, [String: String], Bool)])
    func switched(section: String, variables: [String: String], isOn: Bool) throws {
        let environment = Fixture.environment.merging(variables) { $1 }
        let result = self.load(Fixture.model(section), models: [Self.good("s-1")], environment: environment)
        #expect(try #require(result.settings).storesModels == isOn)
        #expect((self.deployment(result, "s-1") != nil) == isOn)
    }

    @Test("may be all there are")
    func alone() throws {
        let result = self.load(Self.on, models: [Self.good("s-1")])
        #expect(result.settings?.routing.deployments.map(\.deploymentID) == ["s-1"], "\(result.diagnostics)")
        #expect(self.load(Self.on).settings?.routing.deployments.isEmpty == true)
        #expect(self.load("litellm_settings: {}\n").settings == nil)
        let variables = ["STORE_MODEL_IN_DB": "true"]
        let bare = self.load(nil, models: [Self.good("s-1")], environment: variables)
        #expect(bare.settings?.routing.deployments.map(\.deploymentID) == ["s-1"])
        #expect(self.load(nil, environment: variables).settings?.routing.deployments.map(\.deploymentID) == ["demo"])
        let key = variables.merging(["GROQ_API_KEY": "k"]) { $1 }
        let both = self.load(
            nil, models: [Self.good("s-1"), Self.good("environment-groq")], environment: key)
        #expect(both.settings?.routing.deployments.map(\.deploymentID) == ["environment-groq", "s-1"])
        #expect(both.stored.rejected.map(\.row) == [.model("environment-groq")])
    }

    @Test(
        "are left out alone when one is wrong, with the mend and without secrets",
        arguments: [
            (#"{"model":"openai/x","api_kye":"planted-stored-secret-77"}"#, "did you mean \"api_key\""),
            (#"{"api_key":"planted-stored-secret-77"}"#, "no model"),
            (#"{"model":"nonsense/x/y","api_key":"planted-stored-secret-77"}"#, "nonsense"),
            (#"{"model":"openai/x","api_key":"planted-stored-secret-77\n"}"#, "header"),
            (#"{"model":"openai/x","api_key":"planted-stored-secret-77","temperature":1}"#, "temperature"),
            (#"{"model":"openai/x","api_key":"k","api_base":"ftp://planted-stored-secret-77"}"#, "api_base"),
            (#"{"model":"openai/x","litellm_credential_name":"none"}"#, "credential"),
            (#"{"model":"openai/x","api_key":"os.environ/NOT_SET_HERE"}"#, "NOT_SET_HERE"),
            (#"{"model":"openai/x","api_key":"os.environ/LITELLM_MASTER_KEY"}"#, "do not get"),
            (#"{"model":"openai/x","api_key":"os.environ/DATABASE_URL"}"#, "do not get"),
            (#"{"model":"openai/x","api_key":"k","input_cost_per_token":"much"}"#, "input_cost_per_token"),
            (#"{"model":"openai/*","api_key":"k"}"#, "`*`"),
            (#"{"model":["openai/x"],"api_key":"k"}"#, "model"), (#"{"model":7}"#, "provider"),
            ("[]", "litellm_params"),
        ])
    func wrong(parameters: String, hint: String) throws {
        let bad = Self.model("bad", parameters)
        let result = self.load(Fixture.model(Self.on), models: [Self.good("s-1"), bad, Self.good("s-3")])
        let settings = try #require(result.settings)
        #expect(settings.routing.deployments.map(\.deploymentID).suffix(2) == ["s-1", "s-3"])
        #expect(settings.prices["bad"] == nil && settings.modelInfo["bad"] == nil)
        #expect(!result.stored.rejected.isEmpty && result.stored.rejected.allSatisfy { $0.row == .model("bad") })
        let text = result.stored.rejected.map(\.message).joined(separator: "\n")
        #expect(text.contains(hint), "\(text)")
        let everything = "\(result.diagnostics) \(result.stored)"
        #expect(!everything.contains(Self.secret) && !everything.contains("planted-master"))
        let verdict = self.verdict(.model(bad), models: [Self.good("s-1")])
        #expect(verdict.errors == result.stored.rejected.map(\.message))
    }

    @Test("take no identifier that another deployment has, and no name of an alias")
    func clashes() throws {
        let text = """
            model_list:
              - {model_name: m, litellm_params: {model: openai/m, api_key: k}, model_info: {id: file-1}}
            router_settings: {model_group_alias: {short: m}}
            \(Self.on)
            """
        let result = self.load(
            text, models: [Self.good("file-1"), Self.good("s-1"), Self.good("s-1"), Self.good("s-2", name: "short")])
        #expect(result.settings?.routing.deployments.map(\.deploymentID) == ["file-1", "s-1"])
        #expect(result.stored.rejected.map(\.row) == [.model("file-1"), .model("s-1"), .model("s-2")])
    }

    @Test("may be named by the file's fallbacks and aliases, there or not")
    func references() throws {
        let text = Fixture.model(
            Self.on + "router_settings: {fallbacks: [{m: [stored]}], model_group_alias: {short: stored}}\n")
        let there = self.load(text, models: [Self.good("s-1")])
        #expect(there.settings?.routing.fallbacks.first?.targets == ["stored"])
        #expect(there.settings?.routing.aliases.map(\.alias) == ["short"])
        let gone = self.load(text)
        #expect(gone.settings?.routing.fallbacks.isEmpty == true && gone.settings?.routing.aliases.isEmpty == true)
        #expect(gone.diagnostics.contains { $0.severity == .warning && $0.message.contains("\"stored\"") })
    }

    @Test("and entries of the file use stored credentials; the file goes on without one")
    func credentials() throws {
        let text = Fixture.model(
            Self.on + "credential_list: [{credential_name: both, credential_values: {api_key: of-the-file}}]\n"
        ).replacing(
            "litellm_params: {model: openai/m, api_key: k}",
            with: "litellm_params: {model: openai/m, litellm_credential_name: team}\n  - model_name: n\n"
                + "    litellm_params: {model: openai/n, litellm_credential_name: both}")
        let team = Self.credential("team", #"{"api_key":"\#(Self.secret)"}"#)
        let stored = Self.model("s-1", #"{"model":"openai/x","litellm_credential_name":"team"}"#)
        let result = self.load(
            text, models: [stored], credentials: [team, Self.credential("both", #"{"api_key":"of-the-store"}"#)])
        let keys = result.settings?.routing.deployments.map { $0.authentication?.value.reveal() }
        #expect(keys == ["Bearer \(Self.secret)", "Bearer of-the-file", "Bearer \(Self.secret)"])
        #expect(result.stored.rejected.map(\.row) == [.credential("both")])
        let without = self.load(text, models: [stored])
        #expect(without.settings?.routing.deployments.map(\.modelGroup) == ["n"])
        #expect(without.stored.rejected.map(\.row) == [.model("s-1")])
        let wrong = self.verdict(
            .credential(Self.credential("team", #"{"api_kee":"\#(Self.secret)"}"#)), text, models: [stored],
            credentials: [team])
        #expect(wrong.errors.contains { $0.contains("did you mean") })
        #expect(wrong.errors.contains { $0.contains("s-1 would be out of force") })
        #expect(!"\(wrong)".contains(Self.secret))
    }

    @Test("keep text that only looks like a variable inside")
    func dollars() {
        let result = self.load(
            Fixture.model(Self.on),
            models: [Self.model("s-1", #"{"model":"openai/x","api_key":"a${OPENAI_API_KEY}b"}"#)])
        #expect(self.deployment(result, "s-1")?.authentication?.value.reveal() == "Bearer a${OPENAI_API_KEY}b")
        let named = self.load(
            Fixture.model(Self.on),
            models: [Self.model("s-1", #"{"model":"openai/x","api_key":"os.environ/GROQ_API_KEY"}"#)])
        #expect(self.deployment(named, "s-1")?.authentication?.value.reveal() == "Bearer planted-groq")
    }

    @Test("are not judged while the file has errors")
    func brokenFile() {
        let verdict = self.verdict(.model(Self.good("s-1")), Self.on + "nonsense: 1\n")
        #expect(verdict.errors.count == 1 && verdict.errors[0].contains("martlet check"))
    }

    @Test("that are good pass, and replace themselves")
    func good() {
        #expect(self.verdict(.model(Self.good("s-1"))) == CandidateVerdict())
        #expect(self.verdict(.model(Self.good("s-1", name: "other")), models: [Self.good("s-1")]).errors.isEmpty)
        let described = Self.model("s-1", #"{"model":"openai/x","api_key":"k"}"#, info: #"{"note_of_mine":1}"#)
        #expect(self.verdict(.model(described)).warnings.contains { $0.contains("description") })
    }

    @Test("are at most 10,000 with those of the file")
    func many() throws {
        let models = (0..<9_999).map { Self.good("s-\($0)", name: "group-\($0 % 100)") } + [Self.good("more")]
        let result = self.load(Fixture.model(Self.on), models: models)
        #expect(result.settings?.routing.deployments.count == 10_000)
        #expect(result.stored.rejected.map(\.row) == [.model("more")])
    }
}
