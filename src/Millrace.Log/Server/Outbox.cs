using Millrace.Log.Storage;

namespace Millrace.Log.Server;

/// <summary>
/// Connections whose answers a flush has made ready. The first is served by the committer itself when nothing else waits for it, which spares the
/// answer a change of threads (30 us at the median, and one chance less to wait for a processor); the others are the pool's.
/// </summary>
internal sealed class Outbox : IAnswers
{
    [ThreadStatic]
    private static Outbox? _gathering;
    private readonly List<Connection> _connections = [];

    /// <summary>Whether this thread gathers connections, and has taken this one.</summary>
    public static bool TryAdd(Connection connection)
    {
        if (_gathering is not { } outbox)
            return false;
        outbox._connections.Add(connection);
        return true;
    }

    public void Gather() => _gathering = this;

    public void Send(bool here)
    {
        _gathering = null;
        for (var i = _connections.Count - 1; i >= 0; i--)
        {
            if (i == 0 && here)
                _connections[i].PumpHere();
            else
                _connections[i].PumpOnPool();
        }
        _connections.Clear();
    }
}
