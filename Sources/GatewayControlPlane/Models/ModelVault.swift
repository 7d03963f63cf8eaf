import GatewayCore
import GatewayLedger
import Synchronization

/// The store's models and credentials, opened. Keeps what was read last, so that listings and checks need no store.
package final class ModelVault: Sendable {
    private struct State {
        var opened = OpenedModels()
        /// `opened.faults` by row.
        var unopened: [StoredRow: String] = [:]
        /// Rows that are not in force because of what they say, by the last merge with the configuration.
        var rejected: [StoredRow: String] = [:]
    }

    let store: any ModelStore
    let keyring: SecretKeyring?
    private let state = Mutex(State())
    private let turns = TurnQueue(waitingMax: 1000)

    /// - Parameter keyring: `nil`: no key is configured; models without secrets can be stored and read all the same.
    package init(store: any ModelStore, keyring: SecretKeyring?) {
        self.store = store
        self.keyring = keyring
    }

    /// What `load` read last.
    package var opened: OpenedModels { self.state.withLock { $0.opened } }

    /// Reads and opens everything. A row that cannot be opened is a fault, not an error.
    /// - Throws: as the store; what was read before stays.
    @discardableResult package func load() async throws(LedgerError) -> OpenedModels {
        let isFull = LedgerError.unavailable("Too many readers of the models wait already; repeat.")
        // In turn, so that an older reading never takes the place of a newer one.
        return try await self.turns.run(orThrow: isFull) { () async throws(LedgerError) in
            let models = try await self.store.models()
            let credentials = try await self.store.credentials()
            var opened = OpenedModels()
            for model in models { self.add(model, to: &opened) }
            for credential in credentials { self.add(credential, to: &opened) }
            let result = opened
            let unopened = Dictionary(result.faults.map { ($0.row, $0.message) }) { first, _ in first }
            self.state.withLock { state in
                state.opened = result
                state.unopened = unopened
            }
            return result
        }
    }

    /// Notes which rows the merge with the configuration left out and why, for `/model/info`.
    package func note(rejected: [StoredFault]) {
        let faults = Dictionary(rejected.map { ($0.row, $0.message) }) { first, _ in first }
        self.state.withLock { $0.rejected = faults }
    }

    /// Why a row is not in force. `nil`: nothing is known against it.
    func fault(of row: StoredRow) -> String? {
        self.state.withLock { state in state.rejected[row] ?? state.unopened[row] }
    }

    /// Whether secrets are stored and none of them opens: then the key is wrong, and sealing more with it would leave
    /// a store that no single key opens.
    var hasForeignSecrets: Bool {
        self.state.withLock { state in
            let unopened = state.opened.faults.count
            return unopened > 0 && unopened == state.opened.sealedRows
        }
    }

    private func add(_ model: StoredModel, to opened: inout OpenedModels) {
        let row = StoredRow.model(model.modelID)
        guard let parameters = self.opened(model.parameters, row, .parameters, into: &opened) else { return }
        guard let info = JSONValue.parsed(model.info), case .object = info else {
            return opened.faults.append(StoredFault(row: row, message: Self.notAnObject("model_info")))
        }
        opened.models.append(
            OpenedModel(
                modelID: model.modelID, modelName: model.modelName, parameters: parameters, info: info,
                createdBy: model.createdBy, createdAt: model.createdAt, updatedAt: model.updatedAt))
    }

    private func add(_ credential: StoredCredential, to opened: inout OpenedModels) {
        let row = StoredRow.credential(credential.name)
        guard let values = self.opened(credential.values, row, .everything, into: &opened) else { return }
        guard let info = JSONValue.parsed(credential.info), case .object = info else {
            return opened.faults.append(StoredFault(row: row, message: Self.notAnObject("credential_info")))
        }
        opened.credentials.append(
            OpenedCredential(
                name: credential.name, values: values, info: info, createdAt: credential.createdAt,
                updatedAt: credential.updatedAt))
    }

    /// `nil`: a fault says why.
    private func opened(
        _ text: String, _ row: StoredRow, _ scope: SecretTree.Scope, into opened: inout OpenedModels
    ) -> JSONValue? {
        guard let value = JSONValue.parsed(text), case .object = value else {
            let name = scope == .parameters ? "litellm_params" : "credential_values"
            opened.faults.append(StoredFault(row: row, message: Self.notAnObject(name)))
            return nil
        }
        if SecretTree.holdsSealed(value) { opened.sealedRows += 1 }
        do throws(SecretTree.Failure) {
            return try SecretTree(row: row, scope: scope).open(value, with: self.keyring)
        } catch {
            opened.faults.append(StoredFault(row: row, message: self.explanation(error)))
            return nil
        }
    }

    private func explanation(_ failure: SecretTree.Failure) -> String {
        let place = failure.path.first ?? "a value"
        if self.keyring == nil {
            return "\(place) is sealed and this pod has no key: set LITELLM_SALT_KEY to the salt key it was stored with"
        }
        return switch failure.reason {
        case .notAuthentic:
            "\(place) does not open with this pod's salt key: set LITELLM_SALT_KEY to the one it was stored with (all "
                + "pods need the same; MARTLET_FORMER_SALT_KEY takes a former one), or delete the row and store it anew"
        case .malformed:
            "\(place) is no sealed text that this version knows: upgrade this pod, or delete the row and store it anew"
        }
    }

    private static func notAnObject(_ name: String) -> String {
        "\(name) in the store is no JSON object: delete the row and store it anew"
    }
}
