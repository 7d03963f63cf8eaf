/// One profile of AWS' shared files, `credentials` and `config` (AWS SDKs and Tools Reference Guide, "Shared config and
/// credentials files"). Pure.
package struct AWSProfile: Sendable, Hashable, CustomStringConvertible {
    package var accessKeyID: String?
    package var secretAccessKey: String?
    package var sessionToken: String?
    /// The role that the profile stands for, taken on with one of the next three. `nil`: none.
    package var roleARN: String?
    package var sourceProfile: String?
    /// `Environment`, `Ec2InstanceMetadata` or `EcsContainer`.
    package var credentialSource: String?
    package var webIdentityTokenFile: String?
    package var sessionName: String?
    package var externalID: String?
    /// Something only AWS' own tools can do: `credential_process` or `sso_session`. `nil`: nothing of the kind.
    package var foreignKey: String?

    package var description: String { "AWSProfile(\(self.accessKeyID ?? self.roleARN ?? "empty"), secret redacted)" }

    /// The profile `name`; of a key in both files that of `credentials` holds. `nil`: neither file has it.
    package static func find(_ name: String, credentials: String, config: String) -> AWSProfile? {
        let own = Self.section(name, of: credentials)
        let configured =
            Self.section(name == "default" ? name : "profile \(name)", of: config)
            ?? (name == "default" ? Self.section("profile default", of: config) : nil)
        guard own != nil || configured != nil else { return nil }
        let values = (configured ?? [:]).merging(own ?? [:]) { _, new in new }
        var profile = AWSProfile()
        profile.accessKeyID = values["aws_access_key_id"]
        profile.secretAccessKey = values["aws_secret_access_key"]
        profile.sessionToken = values["aws_session_token"]
        profile.roleARN = values["role_arn"]
        profile.sourceProfile = values["source_profile"]
        profile.credentialSource = values["credential_source"]
        profile.webIdentityTokenFile = values["web_identity_token_file"]
        profile.sessionName = values["role_session_name"]
        profile.externalID = values["external_id"]
        profile.foreignKey = ["credential_process", "sso_session", "sso_start_url"].first { values[$0] != nil }
        return profile
    }

    /// The permanent or temporary keys in the profile. `nil`: it has none.
    package var keys: AWSCredentials? {
        guard let accessKeyID, let secretAccessKey else { return nil }
        return AWSCredentials(
            accessKeyID: accessKeyID, secretAccessKey: secretAccessKey, sessionToken: self.sessionToken)
    }

    /// Keys and values of a section; its name may have blanks around it, keys are taken in lower case, the last one of
    /// a name holds, empty values are none. Indented lines belong to nested settings, of which none is of interest.
    private static func section(_ name: String, of text: String) -> [String: String]? {
        var values: [String: String]?
        var isInside = false
        for line in text.split(whereSeparator: \.isNewline) {
            guard let first = line.first, first != "#", first != ";" else { continue }
            if first == "[" {
                let title = line.dropFirst().prefix { $0 != "]" }
                let words = title.split(whereSeparator: \.isWhitespace).joined(separator: " ")
                isInside = words == name
                if isInside, values == nil { values = [:] }
                continue
            }
            guard isInside, !first.isWhitespace, let equals = line.firstIndex(of: "=") else { continue }
            let key = Self.trimmed(line[..<equals]).lowercased()
            let value = Self.trimmed(line[line.index(after: equals)...])
            values?[key] = value.isEmpty ? nil : value
        }
        return values
    }

    private static func trimmed(_ text: Substring) -> String {
        let start = text.drop { $0.isWhitespace }
        guard let last = start.lastIndex(where: { !$0.isWhitespace }) else { return "" }
        return String(start[...last])
    }
}
