/// Exact decimal text of `value / 10^decimals`: no trailing zeros, never an exponent.
func decimalText(_ value: Int64, decimals: Int) -> String {
    let sign = value < 0 ? "-" : ""
    var digits = String(value.magnitude)
    if digits.utf8.count <= decimals {
        digits = String(repeating: "0", count: decimals + 1 - digits.utf8.count) + digits
    }
    let whole = digits.dropLast(decimals)
    var fraction = digits.suffix(decimals)
    while fraction.utf8.last == UInt8(ascii: "0") { fraction.removeLast() }
    return fraction.isEmpty ? "\(sign)\(whole)" : "\(sign)\(whole).\(fraction)"
}
