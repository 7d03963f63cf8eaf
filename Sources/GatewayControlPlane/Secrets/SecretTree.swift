/// Seals, opens and masks the values of a JSON object that stands in one row.
struct SecretTree: Sendable {
    /// Which values are sealed.
    enum Scope: Sendable {
        /// `litellm_params`: all text, but for keys that are known to hold no secret.
        case parameters
        /// `credential_values`: everything.
        case everything
    }

    /// A secret, and nothing to seal it with.
    struct NoKey: Error { var path: [String] }

    /// What cannot be opened, and where.
    struct Failure: Error {
        var path: [String]
        var reason: SecretBoxError
    }

    let row: StoredRow
    let scope: Scope

    // MARK: Sealing

    /// - Parameter keyring: `nil`: there is none, and the first secret is an error.
    func seal(_ value: JSONValue, with keyring: SecretKeyring?) throws(NoKey) -> JSONValue {
        try self.mapped(value, path: []) { text, path throws(NoKey) in
            guard self.isSecret(text, at: path) else { return text }
            guard let keyring else { throw NoKey(path: path) }
            return keyring.seal(text, at: SecretPlace(row: self.row, path: path))
        }
    }

    func open(_ value: JSONValue, with keyring: SecretKeyring?) throws(Failure) -> JSONValue {
        try self.mapped(value, path: [], textOnly: true) { text, path throws(Failure) in
            guard SecretBox.isSealed(text) else { return text }
            guard let keyring else { throw Failure(path: path, reason: .notAuthentic) }
            do throws(SecretBoxError) {
                return try keyring.open(text, at: SecretPlace(row: self.row, path: path))
            } catch { throw Failure(path: path, reason: error) }
        }
    }

    /// Every sealed text opened by `former` and sealed by `next`; what is not sealed stays as it is.
    func resealed(
        _ value: JSONValue, from former: SecretKeyring, to next: SecretKeyring
    ) throws(Failure) -> JSONValue {
        try self.mapped(value, path: [], textOnly: true) { text, path throws(Failure) in
            guard SecretBox.isSealed(text) else { return text }
            let place = SecretPlace(row: self.row, path: path)
            do throws(SecretBoxError) { return next.seal(try former.open(text, at: place), at: place) } catch {
                throw Failure(path: path, reason: error)
            }
        }
    }

    /// What may be shown: secrets replaced by `mask`.
    func masked(_ plain: JSONValue) -> JSONValue {
        self.mapped(plain, path: []) { text, path in
            self.isSecret(text, at: path) ? Self.mask(text) : text
        }
    }

    /// What stands for a secret in answers. The last characters of a long one let people tell keys apart.
    static func mask(_ secret: String) -> String {
        secret.utf8.count >= 24 ? Self.maskStart + secret.suffix(4) : Self.maskStart
    }

    static let maskStart = "****"

    /// Whether the object holds a sealed text.
    static func holdsSealed(_ value: JSONValue) -> Bool {
        switch value {
        case .string(let text): SecretBox.isSealed(text)
        case .array(let values): values.contains(where: self.holdsSealed)
        case .object(let members): members.contains { self.holdsSealed($0.value) }
        case .null, .bool, .number: false
        }
    }

    // MARK: What is secret

    /// Keys of `litellm_params` whose text is none. Everything else is sealed, unknown keys too.
    private static let publicKeys: Set<String> = [
        "model", "custom_llm_provider", "litellm_credential_name", "api_base", "base_url", "api_version",
        "mock_response", "ssl_verify", "timeout", "stream_timeout", "weight", "rpm", "tpm", "max_parallel_requests",
        "max_retries", "num_retries", "cooldown_time", "tags", "tiered_pricing", "off_peak_pricing", "region_name",
        "aws_region_name", "vertex_project", "vertex_location",
    ]

    private static let secretMarks = ["api_key", "_key", "secret", "password", "token", "credential", "private"]

    private func isSecret(_ text: String, at path: [String]) -> Bool {
        guard self.scope == .parameters else { return true }
        // A name of a variable is no secret, and readable rows are easier to look after.
        if Self.isVariable(text) { return false }
        guard let key = path.first else { return true }
        if key == "api_base" || key == "base_url" {
            // A user and password, or a key in the query.
            return text.contains("@") || text.contains("?")
        }
        return !Self.publicKeys.contains(key) && !Self.isPrice(key)
    }

    /// `os.environ/NAME` as a whole.
    private static func isVariable(_ text: String) -> Bool {
        let prefix = "os.environ/"
        guard text.hasPrefix(prefix), text.utf8.count > prefix.utf8.count else { return false }
        return text.utf8.dropFirst(prefix.utf8.count).allSatisfy { byte in
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte == UInt8(ascii: "_")
                || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
        }
    }

    private static func isPrice(_ key: String) -> Bool { key.contains("cost_per_") || key.contains("token_cost") }

    /// A number can be a password. Under such a key it is treated as text.
    private func isNumberSecret(at path: [String]) -> Bool {
        if self.scope == .everything { return true }
        guard let key = path.first, !Self.publicKeys.contains(key), !Self.isPrice(key) else { return false }
        return Self.secretMarks.contains { key.contains($0) } && !key.hasSuffix("_tokens")
    }

    // MARK: The walk

    /// - Parameter textOnly: numbers and booleans stay what they are, wherever they stand.
    private func mapped<Failure: Error>(
        _ value: JSONValue, path: [String], textOnly: Bool = false,
        _ change: (String, [String]) throws(Failure) -> String
    ) throws(Failure) -> JSONValue {
        switch value {
        case .null: return .null
        case .string(let text): return .string(try change(text, path))
        case .number(let digits):
            guard !textOnly, self.isNumberSecret(at: path) else { return value }
            return .string(try change(digits, path))
        case .bool(let isTrue):
            guard !textOnly, self.scope == .everything else { return value }
            return .string(try change(isTrue ? "true" : "false", path))
        case .array(let values):
            var result: [JSONValue] = []
            for (index, inner) in values.enumerated() {
                result.append(try self.mapped(inner, path: path + [String(index)], textOnly: textOnly, change))
            }
            return .array(result)
        case .object(let members):
            var result: [JSONMember] = []
            for member in members {
                let inner = try self.mapped(member.value, path: path + [member.name], textOnly: textOnly, change)
                result.append(JSONMember(member.name, inner))
            }
            return .object(result)
        }
    }
}
