/// One key of the `martlet:` section: what it is, its range, and the place in `Settings` that it fills.
struct MartletOption: Sendable {
    enum Unit: Sendable {
        case seconds, milliseconds

        func duration(_ value: Double) -> Duration {
            switch self {
            case .seconds: .milliseconds(Int64((value * 1000).rounded()))
            case .milliseconds: .microseconds(Int64((value * 1000).rounded()))
            }
        }

        func value(_ duration: Duration) -> Double {
            let seconds =
                Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
            return self == .seconds ? seconds : seconds * 1000
        }
    }

    enum Place: Sendable {
        case integer(WritableKeyPath<Settings, Int> & Sendable, ClosedRange<Int>)
        case duration(WritableKeyPath<Settings, Duration> & Sendable, Unit, ClosedRange<Double>)
        case boolean(WritableKeyPath<Settings, Bool> & Sendable)
        case text(WritableKeyPath<Settings, String> & Sendable)
        case optionalText(WritableKeyPath<Settings, String?> & Sendable)
        case logLevel
    }

    var name: String
    var place: Place
    var summary: String

    init(_ name: String, _ place: Place, _ summary: String) {
        self.name = name
        self.place = place
        self.summary = summary
    }

    var kind: ConfigurationSchema.Kind {
        switch self.place {
        case .integer(_, let range): .integer(range)
        case .duration(_, _, let range): .number(range)
        case .boolean: .boolean
        case .text, .optionalText: .text
        case .logLevel: .choice(LogLevel.allCases.map(\.rawValue))
        }
    }

    /// For the documentation.
    func defaultText(in settings: Settings) -> String {
        switch self.place {
        case .integer(let path, _): String(settings[keyPath: path])
        case .duration(let path, let unit, _):
            unit.value(settings[keyPath: path]).formatted
        case .boolean(let path): String(settings[keyPath: path])
        case .text(let path): settings[keyPath: path]
        case .optionalText(let path): settings[keyPath: path] ?? "none"
        case .logLevel: settings.logLevel.rawValue
        }
    }

    /// Puts a value, checked by the schema before, in its place. One that does not fit is left out.
    func apply(_ scalar: ConfigurationScalar, to settings: inout Settings) {
        switch self.place {
        case .integer(let path, let range):
            if let value = scalar.integer, range.contains(value) { settings[keyPath: path] = value }
        case .duration(let path, let unit, let range):
            if let value = scalar.number, range.contains(value) {
                settings[keyPath: path] = unit.duration(value)
            }
        case .boolean(let path):
            if let value = scalar.boolean { settings[keyPath: path] = value }
        case .text(let path): settings[keyPath: path] = scalar.text
        case .optionalText(let path): settings[keyPath: path] = scalar.text
        case .logLevel:
            if let level = LogLevel(rawValue: scalar.text.lowercased()) { settings.logLevel = level }
        }
    }
}

extension Double {
    /// Without `.0` for whole numbers.
    var formatted: String {
        self == self.rounded() && abs(self) < 1e15 ? String(Int(self)) : String(self)
    }
}
