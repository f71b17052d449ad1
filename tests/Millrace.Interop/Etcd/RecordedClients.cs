using System.Globalization;
using Millrace.Coordination.Client;
using Millrace.Simulation.Linearizability;

namespace Millrace.Interop.Etcd;

/// <summary>Clients that read, write and swap a few registers at once, and note what they asked and learnt.</summary>
internal sealed class RecordedClients : IAsyncDisposable
{
    private const int Keys = 3;
    private static readonly TimeSpan Era = TimeSpan.FromSeconds(0.7);
    private readonly List<Operation<RegisterInput, RegisterOutput>> _history = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly Task[] _running;
    private readonly CoordinationClient[] _clients;
    private readonly long _began = TimeProvider.System.GetTimestamp();
    private long _event;
    private int _value;
    private int _acknowledged;

    public RecordedClients(IReadOnlyList<Uri> members, int clients, int seed)
    {
        // Each begins with another member.
        _clients = [.. Enumerable.Range(0, clients).Select(i => new CoordinationClient(
            [.. members.Select((_, at) => members[(at + i) % members.Count])], TimeSpan.FromSeconds(2)))];
        _running = [.. _clients.Select((client, i) => Task.Run(() => RunAsync(client, i, new Random(seed + i))))];
    }

    /// <summary>Writes that were acknowledged so far.</summary>
    public int Acknowledged => Volatile.Read(ref _acknowledged);

    /// <summary>Waits until some more writes were acknowledged.</summary>
    public async Task ProgressAsync(int writes, Func<string> why)
    {
        var goal = Acknowledged + writes;
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (Acknowledged < goal)
        {
            Assert.False(patience.IsCancellationRequested, $"only {writes - (goal - Acknowledged)} of {writes} writes within a minute\n{why()}");
            await Task.Delay(20);
        }
    }

    /// <summary>Ends the clients and judges what they saw.</summary>
    public async Task<(Verdict Verdict, string Summary)> JudgeAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_running);
        var checker = new Checker<int, RegisterInput, RegisterOutput>(new RegisterModel(), 4_000_000);
        var verdict = checker.Check(_history);
        var unknown = _history.Count(o => o.Return == long.MaxValue);
        return (verdict, $"{_history.Count} operations of {_clients.Length} clients, {_acknowledged} writes acknowledged, {unknown} of unknown outcome: {verdict} {checker.GuiltyKey}");
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_running);
        foreach (var client in _clients)
            client.Dispose();
    }

    private async Task RunAsync(CoordinationClient client, int id, Random random)
    {
        while (!_stop.IsCancellationRequested)
        {
            // A new set of registers now and then: an unknown outcome is open until its register's history ends.
            var era = (int)(TimeProvider.System.GetElapsedTime(_began) / Era);
            var key = $"register/{era}/{random.Next(Keys)}";
            var action = (RegisterAction)random.Next(3);
            KeyVersion? known = null;
            if (action == RegisterAction.Swap && (known = await ReadAsync(client, id, key)) is null)
                continue;
            if (action == RegisterAction.Read)
                await ReadAsync(client, id, key);
            else
                await WriteAsync(client, id, key, known);
            await Task.Delay(random.Next(10));
        }
    }

    private async Task<KeyVersion?> ReadAsync(CoordinationClient client, int id, string key)
    {
        var call = Interlocked.Increment(ref _event);
        try
        {
            var read = await client.GetAsync(key, CancellationToken.None);
            Note(id, key, new RegisterInput(RegisterAction.Read, null, null), new RegisterOutput(false, false, read is null ? null : int.Parse(read.Text, CultureInfo.InvariantCulture)), call);
            return read;
        }
        catch (CoordinationException)
        {
            await Task.Delay(100);
            return null; // A read that learnt nothing changed nothing.
        }
    }

    private async Task WriteAsync(CoordinationClient client, int id, string key, KeyVersion? known)
    {
        var value = Interlocked.Increment(ref _value);
        var text = value.ToString(CultureInfo.InvariantCulture);
        // No value comes twice, so the revision stands for the value.
        var input = new RegisterInput(
            known is null ? RegisterAction.Write : RegisterAction.Swap, known is null ? null : int.Parse(known.Text, CultureInfo.InvariantCulture), value);
        var call = Interlocked.Increment(ref _event);
        try
        {
            var swapped = true;
            if (known is null)
                await client.PutAsync(key, text, CancellationToken.None);
            else
                swapped = await client.WriteAsync([new KeyWrite(key, System.Text.Encoding.UTF8.GetBytes(text), known.ModRevision)], CancellationToken.None) is not null;
            Note(id, key, input, new RegisterOutput(false, swapped, null), call);
            Interlocked.Increment(ref _acknowledged);
        }
        catch (CoordinationException error)
        {
            // What was never sent needs no place in the history.
            if (error.InnerException is not HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError })
                NoteUnknown();
            await Task.Delay(100);
        }

        void NoteUnknown()
        {
            lock (_history)
                _history.Add(new Operation<RegisterInput, RegisterOutput>(id, key, input, new RegisterOutput(true, false, null), call, long.MaxValue));
        }
    }

    private void Note(int id, string key, RegisterInput input, RegisterOutput output, long call)
    {
        var done = Interlocked.Increment(ref _event);
        lock (_history)
            _history.Add(new Operation<RegisterInput, RegisterOutput>(id, key, input, output, call, done));
    }
}
