using System.Globalization;
using Google.Protobuf;
using Millrace.Coordination.Client;
using Millrace.Coordination.Node;
using Millrace.Coordination.Wire;
using Millrace.Tests;

namespace Millrace.Interop.Etcd;

/// <summary>A conversation over one Watch stream with a real etcd and with Millrace: ids, filters, previous values, fragments, progress, compaction, cancellation.</summary>
public sealed class WatchDifferenceTests
{
    private const string Kv = "/etcdserverpb.KV/";

    [EngineFact("go")]
    public async Task A_stream_of_watches_says_what_etcds_says()
    {
        await using var etcd = await RealEtcd.StartAsync(RealEtcd.Newest!, "--watch-progress-notify-interval", "300ms");
        var folder = Directory.CreateTempSubdirectory("millrace-watch").FullName;
        string[] theirs, ours;
        await using (var node = await CoordinationNode.StartAsync(new CoordinationOptions
        {
            DataFolder = folder, ClientPort = 0, PeerPort = -1, WatchProgressEvery = TimeSpan.FromMilliseconds(300),
        }))
        {
            theirs = await TalkAsync(etcd.Endpoint);
            ours = await TalkAsync($"127.0.0.1:{node.ClientPort}");
        }
        Directory.Delete(folder, recursive: true);
        Differences.None(theirs, ours);
    }

    private static async Task<string[]> TalkAsync(string endpoint)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        using var channel = new GrpcChannel(new Uri("http://" + endpoint));
        await using var talk = new Conversation(channel, patience.Token);
        await talk.PutAsync("w1", "a");
        await talk.PutAsync("w1", "b");
        await talk.DeleteAsync("w1");
        await talk.PutAsync("other", "x");

        // The past and then the present; ids are given from 0 on, or taken from the client.
        await talk.CreateAsync("everything from 2 on", new WatchCreateRequest { Key = Text("w"), RangeEnd = Text("x"), StartRevision = 2, PrevKv = true });
        await talk.EventsAsync(0, 3);
        await talk.CreateAsync("no puts, as 7", new WatchCreateRequest { Key = Text("w"), RangeEnd = Text("x"), WatchId = 7, Filters = { WatchCreateRequest.Types.FilterType.Noput } });
        await talk.CreateAsync("no deletions", new WatchCreateRequest { Key = Text("w2"), Filters = { WatchCreateRequest.Types.FilterType.Nodelete }, StartRevision = 1 });
        await talk.CreateAsync("neither", new WatchCreateRequest
        {
            Key = Text("w2"), Filters = { WatchCreateRequest.Types.FilterType.Nodelete, WatchCreateRequest.Types.FilterType.Noput },
        });
        await talk.CreateAsync("7 again", new WatchCreateRequest { Key = Text("w"), WatchId = 7 });
        await talk.CreateAsync("an empty range", new WatchCreateRequest { Key = Text("x"), RangeEnd = Text("w") });
        await talk.CreateAsync("a negative revision", new WatchCreateRequest { Key = Text("w"), StartRevision = -1 });
        await talk.CreateAsync("everything there is", new WatchCreateRequest { Key = ByteString.CopyFrom(0), RangeEnd = ByteString.CopyFrom(0) });
        await talk.CreateAsync("the future", new WatchCreateRequest { Key = Text("w2"), StartRevision = 8 });
        await talk.PutAsync("w2", "1"); // 6
        await talk.PutAsync("w2", "2", lease: 0);
        await talk.DeleteAsync("w2"); // 8
        await talk.EventsAsync(0, 3);
        await talk.EventsAsync(7, 1);
        await talk.EventsAsync(1, 2);
        await talk.EventsAsync(3, 3);
        await talk.EventsAsync(4, 1);

        // One transaction is one answer.
        await talk.TxnAsync(Put("w3", "x"), Put("w4", "y"), Delete("other"));
        await talk.EventsAsync(0, 2);
        await talk.EventsAsync(3, 3);
        await talk.ProgressAsync();
        await talk.CancelAsync(99);
        await talk.CancelAsync(3);
        await talk.PutAsync("w3", "z");
        await talk.EventsAsync(0, 1);
        await talk.ProgressAsync();

        // What is compacted cannot be resumed; the compacted revision itself still can.
        await channel.UnaryAsync(Kv + "Compact", new CompactionRequest { Revision = 8, Physical = true }, CompactionResponse.Parser, null, patience.Token);
        await talk.CreateAsync("what is gone", new WatchCreateRequest { Key = Text("w"), RangeEnd = Text("x"), StartRevision = 7 });
        await talk.NextAsync("it is gone");
        await talk.CreateAsync("what is just there", new WatchCreateRequest { Key = Text("w"), RangeEnd = Text("x"), StartRevision = 8, WatchId = 20, PrevKv = true });
        await talk.EventsAsync(20, 4);
        await talk.CancelAsync(20);
        await talk.CancelAsync(0);

        // Together more than a message may have, with the values before them: whole to whom did not ask for fragments.
        var big = Enumerable.Range(0, 10).Select(i => Put("big" + i, new string((char)('a' + i), 140_000))).ToArray();
        await talk.TxnAsync(big);
        var from = await talk.TxnAsync(big);
        await talk.CreateAsync("in pieces", new WatchCreateRequest { Key = Text("big"), RangeEnd = Text("bih"), StartRevision = from, PrevKv = true, Fragment = true, WatchId = 30 });
        await talk.EventsAsync(30, 10);
        await talk.CreateAsync("whole", new WatchCreateRequest { Key = Text("big"), RangeEnd = Text("bih"), StartRevision = from, PrevKv = true, WatchId = 31 });
        await talk.EventsAsync(31, 10);
        await talk.TxnAsync(big);
        await talk.EventsAsync(30, 10);
        await talk.EventsAsync(31, 10);

        // Whoever asked for it hears where it is, under its own name.
        await talk.CreateAsync("progress", new WatchCreateRequest { Key = Text("quiet"), ProgressNotify = true, WatchId = 40 });
        await talk.NextAsync("after a silence");
        await talk.NextAsync("and again");
        // Who has nothing more to ask still hears.
        talk.End();
        await talk.PutAsync("quiet", "no more");
        await talk.EventsAsync(40, 1);
        return [.. talk.Said];
    }

    private static ByteString Text(string text) => ByteString.CopyFromUtf8(text);

    private static RequestOp Put(string key, string value) => new() { RequestPut = new PutRequest { Key = Text(key), Value = Text(value) } };

    private static RequestOp Delete(string key) => new() { RequestDeleteRange = new DeleteRangeRequest { Key = Text(key) } };

    /// <summary>One stream, and what it says, told so that two sides can be compared: how changes are put together into answers is each side's own.</summary>
    private sealed class Conversation : IAsyncDisposable
    {
        private readonly GrpcChannel _channel;
        private readonly CancellationToken _patience;
        private readonly GrpcDuplex<WatchResponse> _call;
        private readonly IAsyncEnumerator<WatchResponse> _responses;
        private readonly Dictionary<long, Queue<string>> _events = [];
        private readonly Queue<string> _others = new();
        private readonly Dictionary<long, long> _lastRevision = [];
        private readonly SortedSet<long> _inPieces = [];

        public Conversation(GrpcChannel channel, CancellationToken patience)
        {
            _channel = channel;
            _patience = patience;
            _call = channel.Open("/etcdserverpb.Watch/Watch", WatchResponse.Parser, null, patience);
            _responses = _call.Responses.GetAsyncEnumerator(patience);
        }

        public List<string> Said { get; } = [];

        public async Task PutAsync(string key, string value, long lease = 0) => await _channel.UnaryAsync(
            Kv + "Put", new PutRequest { Key = Text(key), Value = Text(value), Lease = lease }, PutResponse.Parser, null, _patience);

        public async Task DeleteAsync(string key) => await _channel.UnaryAsync(
            Kv + "DeleteRange", new DeleteRangeRequest { Key = Text(key) }, DeleteRangeResponse.Parser, null, _patience);

        /// <summary>Returns its revision.</summary>
        public async Task<long> TxnAsync(params RequestOp[] ops)
        {
            var txn = new TxnRequest();
            txn.Success.AddRange(ops);
            return (await _channel.UnaryAsync(Kv + "Txn", txn, TxnResponse.Parser, null, _patience)).Header.Revision;
        }

        public async Task CreateAsync(string what, WatchCreateRequest create)
        {
            // The first write goes out once the call is read.
            var asked = _call.WriteAsync(new WatchRequest { CreateRequest = create }, _patience);
            await NextAsync(what);
            await asked;
        }

        public async Task CancelAsync(long id)
        {
            await _call.WriteAsync(new WatchRequest { CancelRequest = new WatchCancelRequest { WatchId = id } }, _patience);
            if (id < 99)
                await NextAsync($"cancel {id}");
        }

        public async Task ProgressAsync()
        {
            await _call.WriteAsync(new WatchRequest { ProgressRequest = new WatchProgressRequest() }, _patience);
            await NextAsync("progress");
        }

        /// <summary>The next answer that has no changes.</summary>
        public async Task NextAsync(string what)
        {
            while (_others.Count == 0)
                await ReadAsync(what);
            Said.Add($"{what}: {_others.Dequeue()}");
        }

        public async Task EventsAsync(long id, int count)
        {
            while (!_events.TryGetValue(id, out var queue) || queue.Count < count)
                await ReadAsync($"{count} changes for watch {id}");
            for (; count > 0; count--)
                Said.Add($"{id}: {_events[id].Dequeue()}");
        }

        public void End()
        {
            _call.End();
            foreach (var (id, left) in _events.OrderBy(static e => e.Key))
                Said.AddRange(left.Select(e => $"never asked for, {id}: {e}"));
            Said.Add($"in pieces: {string.Join(',', _inPieces)}");
        }

        public async ValueTask DisposeAsync()
        {
            _call.End();
            await _responses.DisposeAsync();
            _call.Dispose();
        }

        private async Task ReadAsync(string wanted)
        {
            bool isThere;
            try
            {
                isThere = await _responses.MoveNextAsync();
            }
            catch (OperationCanceledException)
            {
                isThere = false;
            }
            if (!isThere)
                throw new InvalidOperationException($"the stream ended, with {wanted} still wanted, after:\n{string.Join('\n', Said)}");
            var response = _responses.Current;
            if (response.Events.Count == 0)
            {
                _others.Enqueue(string.Create(CultureInfo.InvariantCulture,
                    $"watch {response.WatchId} at {response.Header.Revision} {(response.Created ? "created " : "")}{(response.Canceled ? "canceled " : "")}{(response.CompactRevision > 0 ? $"compacted at {response.CompactRevision} " : "")}{response.CancelReason}"));
                return;
            }
            if (!_events.TryGetValue(response.WatchId, out var queue))
                _events[response.WatchId] = queue = new Queue<string>();
            foreach (var change in response.Events)
            {
                queue.Enqueue($"{change.Type} {Tell(change.Kv)}{(change.PrevKv is { } before ? " before: " + Tell(before) : "")}");
                // One revision is never split but by fragments.
                Assert.True(change.Kv.ModRevision >= _lastRevision.GetValueOrDefault(response.WatchId), "a revision came in two answers, or late");
            }
            _lastRevision[response.WatchId] = response.Events[^1].Kv.ModRevision + (response.Fragment ? 0 : 1);
            if (response.Fragment)
                _inPieces.Add(response.WatchId);
        }

        private static string Tell(KeyValue kv) => string.Create(
            CultureInfo.InvariantCulture,
            $"{kv.Key.ToStringUtf8()}={(kv.Value.Length > 100 ? $"{kv.Value.Length} of {(char)kv.Value[0]}" : kv.Value.ToStringUtf8())} {kv.CreateRevision} {kv.ModRevision} {kv.Version} {kv.Lease}");
    }
}
