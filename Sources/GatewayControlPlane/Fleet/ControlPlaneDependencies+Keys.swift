import GatewayAdmission
import GatewayCore

extension ControlPlaneDependencies {
    /// Brings a presented key into the directory that another pod made a moment ago.
    /// - Throws: 503 when the store cannot tell whether there is such a key; an unknown key is the authenticator's to
    ///   refuse.
    func resolve(_ credential: KeyDigest?) async throws(ControlRefusal) {
        guard let credential, let resolver = self.keyResolver, self.keys.directory.entry(digest: credential) == nil
        else { return }
        let resolution = await withCheckedContinuation { continuation in
            resolver.resolve(credential) { continuation.resume(returning: $0) }
        }
        guard case .storeAway = resolution else { return }
        throw .store(.unavailable("a presented key is not known here, and the store cannot be asked for it"))
    }

    /// What a key's owners allow.
    func path(of key: KeyEntry) -> AdmissionPath {
        self.keys.directory.entities.path(of: key, now: self.clock.now())
    }
}
