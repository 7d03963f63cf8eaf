/// Keys of log metadata. Messages are constants; facts go under these.
enum LogKey: String {
    case batch = "redis.batch"
    case errorMessage = "error.message"
    case target = "redis.target"
    case token = "redis.token"
}
