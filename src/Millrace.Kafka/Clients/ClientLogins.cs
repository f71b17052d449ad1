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
    private readonly IReadOnlyDictionary<string, string> _ownHttp;
    private readonly Func<Uri?> _ownAddress;

    /// <param name="byBrokers">By the broker list as plans name it.</param>
    /// <param name="others">For all other brokers.</param>
    /// <param name="ownHttp">For this process's own HTTP port, as Confluent's clients name such settings: <c>basic.auth.user.info</c> and others.</param>
    /// <param name="ownAddress">Where that port is, as soon as it is known.</param>
    public ClientLogins(
        IReadOnlyDictionary<string, IReadOnlyDictionary<string, string>> byBrokers, IReadOnlyDictionary<string, string> others,
        IReadOnlyDictionary<string, string>? ownHttp = null, Func<Uri?>? ownAddress = null)
    {
        _byBrokers = byBrokers;
        _others = others;
        _ownHttp = ownHttp ?? Nothing;
        _ownAddress = ownAddress ?? (static () => null);
    }

    /// <summary>Connects in the clear and without a login everywhere.</summary>
    public static ClientLogins None { get; } = new(new Dictionary<string, IReadOnlyDictionary<string, string>>(), Nothing);

    public IReadOnlyDictionary<string, string> For(string brokers) => _byBrokers.TryGetValue(brokers, out var own) ? own : _others;

    /// <summary>How clients connect to a schema registry: with a login at this process's own, else with what its address says.</summary>
    public IReadOnlyDictionary<string, string> ForRegistry(Uri address) =>
        _ownAddress() is { } own && Uri.Compare(own, address, UriComponents.SchemeAndServer, UriFormat.Unescaped, StringComparison.OrdinalIgnoreCase) == 0 ? _ownHttp : Nothing;
}
