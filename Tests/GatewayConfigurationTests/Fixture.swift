import Foundation
import GatewayConfiguration
import GatewayRouting
import Testing

/// Files in memory.
struct MemoryReader: ConfigurationReader {
    var files: [String: [UInt8]]

    func read(path: String, bytesMax: Int) throws(ConfigurationReadError) -> [UInt8] {
        guard let bytes = self.files[path] else { throw .system(2) }
        guard bytes.count <= bytesMax else { throw .tooLong(bytesMax: bytesMax) }
        return bytes
    }
}

enum Fixture {
    static let environment = [
        "OPENAI_API_KEY": "planted-openai", "GROQ_API_KEY": "planted-groq",
        "DEEPSEEK_API_KEY": "planted-deepseek",
        "OPENROUTER_API_KEY": "planted-openrouter",
        "LITELLM_MASTER_KEY": "sk-planted-master-key-0123456789",
        "ANTHROPIC_API_KEY": "planted-anthropic",
    ]

    static func load(
        _ text: String, environment: [String: String] = Self.environment,
        overrides: CommandLineOverrides = CommandLineOverrides()
    ) -> LoadResult {
        self.load(bytes: Array(text.utf8), environment: environment, overrides: overrides)
    }

    static func load(
        bytes: [UInt8], environment: [String: String] = Self.environment,
        overrides: CommandLineOverrides = CommandLineOverrides()
    ) -> LoadResult {
        ConfigurationLoader(reader: MemoryReader(files: ["config.yaml": bytes]))
            .load(file: "config.yaml", environment: environment, overrides: overrides)
    }

    /// One deployment, and `more` at the top level.
    static func model(_ more: String = "") -> String {
        "model_list:\n  - model_name: m\n    litellm_params: {model: openai/m, api_key: k}\n" + more
    }
}

enum Golden {
    static let directory = URL(filePath: #filePath).deletingLastPathComponent()
    static let repository = Self.directory.resolvingSymlinksInPath().deletingLastPathComponent()
        .deletingLastPathComponent()
    static let isUpdate = ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] == "1"

    static var names: [String] {
        let files = try? FileManager.default.contentsOfDirectory(
            atPath: Self.directory.appending(path: "Golden").path())
        return (files ?? []).filter { $0.hasSuffix(".yaml") }.map { String($0.dropLast(5)) }.sorted()
    }

    static func text(_ name: String) throws -> String {
        try String(contentsOf: Self.directory.appending(path: "Golden/\(name)"), encoding: .utf8)
    }

    static func compare(_ text: String, with path: String) throws {
        try Self.compare(text, with: Self.directory.appending(path: path))
    }

    /// Compares, or writes with `UPDATE_GOLDEN=1`.
    static func compare(_ text: String, with file: URL) throws {
        if Self.isUpdate { return try text.write(to: file, atomically: true, encoding: .utf8) }
        let recorded = try String(contentsOf: file, encoding: .utf8)
        let name = file.lastPathComponent
        #expect(
            text == recorded, "\(name) differs; run again with UPDATE_GOLDEN=1 and review the difference")
    }
}

/// Settings as text, for records. Keys are shown, which the product itself never does: they are planted ones.
enum SettingsText {
    static func describe(_ result: LoadResult) -> String {
        var lines = result.diagnostics.map { "\($0.rendered)\n    [\($0.keyPath)]" }
        if let settings = result.settings { lines += self.describe(settings) }
        return lines.joined(separator: "\n") + "\n"
    }

    static func describe(_ settings: Settings) -> [String] {
        var lines: [String] = []
        for deployment in settings.routing.deployments { lines += self.describe(deployment, settings) }
        let routing = settings.routing
        lines += routing.aliases.map {
            "alias \($0.alias) -> \($0.group)\($0.isHidden ? " hidden" : "")"
        }
        lines += routing.fallbacks.map {
            "fallback \($0.group) -> \($0.targets.joined(separator: ", "))"
        }
        lines.append("retries \(routing.retriesMax) cooldown \(routing.cooldown)")
        lines.append("data plane \(String(describing: settings.dataPlane))")
        lines.append("ledger \(settings.ledger)")
        lines.append("master key \(settings.masterKey?.reveal() ?? "none")")
        lines.append(
            "status \(settings.budgetExceededStatus) data \(settings.dataDirectory) log \(settings.logLevel.rawValue) "
                + "json \(settings.logsAreJSON) metrics key \(settings.metricsRequireKey)")
        return lines
    }

    private static func describe(_ deployment: DeploymentConfiguration, _ settings: Settings)
        -> [String]
    {
        var line =
            "deployment \(deployment.deploymentID): \(deployment.modelGroup) -> \(deployment.provider) "
        line += "\(deployment.model) weight \(deployment.weight) stream usage \(deployment.streamUsage)"
        var lines = [line]
        if let address = deployment.address {
            let scheme = address.isTLS ? "https" : "http"
            lines.append("    \(scheme) \(address.host) \(address.port) \(address.basePath)")
        }
        if let header = deployment.authentication {
            lines.append("    \(header.header): \(header.value.reveal())")
        }
        lines += deployment.extraHeaders.map { "    \($0.name): \($0.value)" }
        if let answer = deployment.answer { lines.append("    answer \(answer)") }
        let limits = deployment.limits
        if limits
            != DeploymentLimits(inFlightMax: nil, waitingMax: nil, totalTimeout: nil, streamTimeout: nil)
        {
            lines.append("    \(limits)")
        }
        if !deployment.verifiesTLS || deployment.authorityFile != nil {
            lines.append(
                "    verifies \(deployment.verifiesTLS) authorities \(deployment.authorityFile ?? "none")")
        }
        if let price = settings.prices[deployment.deploymentID] {
            let rates = price.override?.rates.map { "\($0.kind) \($0.picodollars)" } ?? []
            lines.append("    price \(price.provider)/\(price.model) \(rates.joined(separator: ", "))")
        }
        if let info = settings.modelInfo[deployment.deploymentID], info != ModelInfo() {
            lines.append("    \(info)")
        }
        return lines
    }
}
