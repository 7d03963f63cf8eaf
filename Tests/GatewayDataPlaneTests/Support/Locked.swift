import Synchronization

/// A value that a test's threads share.
final class Locked<Value: Sendable>: Sendable {
    private let state: Mutex<Value>

    init(_ value: Value) { self.state = Mutex(value) }

    var value: Value { self.state.withLock { $0 } }
    func change(_ change: (inout Value) -> Void) { self.state.withLock { change(&$0) } }
}
