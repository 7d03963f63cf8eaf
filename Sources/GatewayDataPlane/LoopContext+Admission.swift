import GatewayAdmission
import GatewayCore

/// Calls that wait for the store's answer about a budget or a limit.
extension LoopContext {
    /// The store's time, as far as this pod knows.
    func storeTime(atNanoseconds nanoseconds: UInt64) -> UnixMicroseconds {
        let wall = self.wallTime(atNanoseconds: nanoseconds)
        return UnixMicroseconds(rawValue: wall.rawValue &+ (self.gate?.registry.storeOffsetMicroseconds ?? 0))
    }

    /// Lets a call wait for the store. `false`: too many wait already.
    func enqueue(admitting call: Call) -> Bool {
        guard self.admitting.count < self.configuration.admittingMax else { return false }
        self.admitting.append(call)
        self.gate?.registry.countWaiting(1)
        return true
    }

    func cancelAdmitting(_ call: Call) {
        guard let index = self.admitting.firstIndex(where: { $0 === call }) else { return }
        self.admitting.remove(at: index)
        self.gate?.registry.countWaiting(-1)
    }

    /// The store has answered: every waiting call tries again, in the order of their coming.
    func pumpAdmitting() {
        guard !self.admitting.isEmpty else { return }
        let calls = self.admitting
        self.admitting = []
        self.gate?.registry.countWaiting(-calls.count)
        for call in calls { call.admitAgain(isLastTry: false) }
    }

    /// What a call has given up may be enough for one that waits.
    func pumpAdmittingSoon() {
        guard !self.admitting.isEmpty else { return }
        self.eventLoop.execute { self.pumpAdmitting() }
    }

    func tickAdmitting(now: UInt64) {
        guard !self.admitting.isEmpty else { return }
        for call in self.admitting where now > call.admittingSince {
            guard now - call.admittingSince >= self.timeouts.admitting else { continue }
            self.cancelAdmitting(call)
            call.admitAgain(isLastTry: true)
        }
    }
}
