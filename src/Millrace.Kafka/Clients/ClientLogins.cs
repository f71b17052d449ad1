namespace Millrace.Kafka.Clients;

/// <summary>
/// How clients of this process connect: librdkafka's settings by broker list, e.g. <c>security.protocol</c> and <c>sasl.password</c>.
/// Immutable. Values are secrets: never logged.
/// </summary>
public sealed class ClientLogins
{
    private static readonly Dictionary<string, string> Nothing = [];

    private readonly IReadOnlyDictionary<string, IReadOnlyDictionary<string, string>> _byBrokers;
    private readonly IReadOnlyDictionary<string, string> _others;

    /// <param name="byBrokers">By the broker list as plans name it.</param>
    /// <param name="others">For all other brokers.</param>
    public ClientLogins(IReadOnlyDictionary<string, IReadOnlyDictionary<string, string>> byBrokers, IReadOnlyDictionary<string, string> others)
    {
        _byBrokers = byBrokers;
        _others = others;
    }

    /// <summary>Connects in the clear and without a login everywhere.</summary>
    public static ClientLogins None { get; } = new(new Dictionary<string, IReadOnlyDictionary<string, string>>(), Nothing);

    public IReadOnlyDictionary<string, string> For(string brokers) => _byBrokers.TryGetValue(brokers, out var own) ? own : _others;
}
