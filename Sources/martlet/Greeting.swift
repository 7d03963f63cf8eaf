import GatewayConfiguration
import GatewayControlPlane

/// What a pod says when it is ready.
enum Greeting {
    static func print(settings: Settings, port: Int, madeKey: String?, models: [ListedModel]) {
        let plane = settings.dataPlane
        let scheme = plane.certificateFile == nil ? "http" : "https"
        let host = plane.host == "0.0.0.0" || plane.host == "::" ? "127.0.0.1" : plane.host
        let address = "\(scheme)://\(host.contains(":") ? "[\(host)]" : host):\(port)"
        var output = StandardOutput()
        output.line("Martlet \(Version.text) is ready on \(address)")
        if let madeKey {
            output.line("Admin key, made at this first start and shown only now: \(madeKey)")
        }
        let model = models.first { !$0.name.contains("*") }?.name
        let key = madeKey ?? "$LITELLM_MASTER_KEY"
        if let model, madeKey != nil || settings.masterKey != nil {
            let quote = madeKey == nil ? "\"" : "'"
            output.line("Try it:")
            output.line(
                "curl \(address)/v1/chat/completions -H \(quote)Authorization: Bearer \(key)\(quote) "
                    + "-H 'Content-Type: application/json' "
                    + "-d '{\"model\":\"\(shellSafe(model))\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}'"
            )
        }
        output.flush()
    }

    /// A model's name within single quotes of a shell and within JSON.
    private static func shellSafe(_ name: String) -> String {
        name.filter { $0 != "'" && $0 != "\"" && $0 != "\\" }
    }
}
