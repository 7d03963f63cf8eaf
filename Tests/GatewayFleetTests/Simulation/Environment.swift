import Glibc

/// A whole number from the environment. `nil`: not set, or not a number.
func environmentNumber(_ name: String) -> UInt64? {
    getenv(name).flatMap { UInt64(String(cString: $0)) }
}
