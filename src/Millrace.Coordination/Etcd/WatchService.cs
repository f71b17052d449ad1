using Google.Protobuf;
using Millrace.Coordination.Grpc;
using Millrace.Coordination.Node;
using Millrace.Coordination.Store;
using Millrace.Coordination.Watches;
using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Etcd;

/// <summary>etcdserverpb.Watch: one stream a call, many watches a stream.</summary>
internal sealed class WatchService(Replica replica, Callers callers)
{
    public void Register(GrpcServer server) => server.Streaming("/etcdserverpb.Watch/Watch", call => new Session(replica, callers, call).RunAsync());

    private sealed class Session(Replica replica, Callers callers, GrpcCall call)
    {
        private const int AllEvents = -1;
        private const byte WatchIdField = 2 << 3;
        private readonly WatchStream _stream = new(replica.Options.MaxBufferedWatchEvents);
        private readonly Lock _lock = new();
        private readonly Dictionary<long, Watcher> _watchers = [];
        private readonly List<Watcher> _behind = [];
        private readonly List<WatchItem> _batch = [];
        private readonly List<Watcher> _withBatch = [];
        private byte[] _header = [];
        private long _headerRevision;
        private int _progressOwed;
        private long _nextId;

        public async Task RunAsync()
        {
            using var ended = CancellationTokenSource.CreateLinkedTokenSource(call.Canceled);
            var sending = SendAsync(ended.Token);
            var silence = WatchSilenceAsync(ended.Token);
            try
            {
                while (await call.ReadAsync(WatchRequest.Parser).ConfigureAwait(false) is { } request)
                    Take(request);
                // As with etcd, who has nothing more to ask, such as a program that sends one request and then listens, goes on hearing.
                await Task.Delay(Timeout.InfiniteTimeSpan, replica.Time, call.Canceled).ConfigureAwait(false);
            }
            finally
            {
                await ended.CancelAsync().ConfigureAwait(false);
                foreach (var watcher in Watchers())
                    End(watcher);
                await sending.ConfigureAwait(false);
                await silence.ConfigureAwait(false);
            }
        }

        private Watcher[] Watchers()
        {
            lock (_lock)
                return [.. _watchers.Values];
        }

        private void Take(WatchRequest request)
        {
            switch (request.RequestUnionCase)
            {
                case WatchRequest.RequestUnionOneofCase.CreateRequest:
                    Create(request.CreateRequest);
                    break;
                case WatchRequest.RequestUnionOneofCase.CancelRequest:
                    Cancel(request.CancelRequest.WatchId);
                    break;
                case WatchRequest.RequestUnionOneofCase.ProgressRequest:
                    _stream.RequestProgress();
                    break;
            }
        }

        private void Create(WatchCreateRequest request)
        {
            // etcd takes no key at all as the smallest one, and an end of one zero byte as no end.
            var range = new KeyRange(request.Key.IsEmpty ? ByteString.CopyFrom(0) : request.Key, request.RangeEnd);
            var revision = replica.Read(static machine => machine.Store.Revision);
            var refusal = RefusalOf(request, range);
            Watcher? watcher = null;
            lock (_lock)
            {
                var id = request.WatchId;
                if (refusal is null && id != 0 && _watchers.ContainsKey(id))
                    refusal = "mvcc: duplicate watch ID provided on the WatchStream";
                if (refusal is null)
                {
                    while (id == 0 && _watchers.ContainsKey(_nextId))
                        _nextId++;
                    if (id == 0)
                        id = _nextId++;
                    watcher = new Watcher(
                        id, range, _stream, request.Filters.Contains(WatchCreateRequest.Types.FilterType.Noput),
                        request.Filters.Contains(WatchCreateRequest.Types.FilterType.Nodelete), request.PrevKv, request.Fragment)
                    {
                        WantsProgress = request.ProgressNotify,
                        Next = request.StartRevision > 0 ? request.StartRevision : revision + 1,
                    };
                    _watchers[id] = watcher;
                }
            }
            _stream.Say(new WatchResponse
            {
                Header = replica.Header(revision), WatchId = watcher?.Id ?? -1, Created = true, Canceled = refusal is not null,
                CancelReason = refusal ?? "",
            });
            if (watcher is not null)
                _stream.Lag(watcher);
        }

        private string? RefusalOf(WatchCreateRequest request, KeyRange range)
        {
            if (request.StartRevision < 0)
                return StoreErrors.Compacted.Message;
            if (!range.IsSingle && !range.IsOpenEnded && range.Key.Span.SequenceCompareTo(range.End.Span) >= 0)
                return "mvcc: watcher range is empty";
            try
            {
                var user = callers.UserOf(call);
                return replica.Read(machine =>
                {
                    machine.Auth.Require(user, range, isWrite: false);
                    return (string?)null;
                });
            }
            catch (StoreException error)
            {
                // As etcd puts it, which hands on the words of its gRPC library.
                return $"rpc error: code = {GrpcCodes.NameOf(error.Code)} desc = {error.Message}";
            }
        }

        private void Cancel(long id)
        {
            Watcher? watcher;
            lock (_lock)
                _watchers.TryGetValue(id, out watcher);
            if (watcher is null)
                return;
            End(watcher);
            _stream.Say(new WatchResponse
            {
                Header = replica.Header(replica.Read(static machine => machine.Store.Revision)), WatchId = id, Canceled = true,
            });
        }

        private void End(Watcher watcher)
        {
            watcher.IsCanceled = true;
            replica.Watches.Remove(watcher);
            lock (_lock)
                _watchers.Remove(watcher.Id);
        }

        private async Task SendAsync(CancellationToken ended)
        {
            try
            {
                while (!ended.IsCancellationRequested)
                {
                    if (_behind.Count == 0)
                        await _stream.WaitAsync(ended).ConfigureAwait(false);
                    if (SendOnce())
                        await call.FlushAsync().ConfigureAwait(false);
                }
            }
            catch (Exception error) when (error is OperationCanceledException or IOException or InvalidOperationException)
            {
                // The client is gone, or the call has ended; the reading side sees it too.
            }
        }

        /// <summary>Writes all that waits, then a piece of history for each watch that is behind.</summary>
        private bool SendOnce()
        {
            // The revision first: everything up to it is then either in what is taken next or was sent before.
            var revision = replica.Watches.Revision();
            var work = _stream.Take();
            var hasWritten = work.Control.Count + work.Items.Count > 0;
            foreach (var response in work.Control)
                call.Write(response);
            Send(work.Items);
            foreach (var watcher in _behind.ToArray())
                hasWritten |= CatchUp(watcher);
            _behind.AddRange(work.Lagging);
            foreach (var watcher in work.Silent)
            {
                // One that is behind is about to hear more than this.
                if (watcher.IsCanceled || _behind.Contains(watcher))
                    continue;
                hasWritten = true;
                call.Write(new WatchResponse { Header = replica.Header(revision), WatchId = watcher.Id });
            }
            _progressOwed += work.ProgressRequests;
            if (_progressOwed > 0 && _behind.Count == 0)
            {
                _progressOwed = 0;
                hasWritten = true;
                call.Write(new WatchResponse { Header = replica.Header(revision), WatchId = AllEvents });
            }
            return hasWritten;
        }

        private bool CatchUp(Watcher watcher)
        {
            if (watcher.IsCanceled)
            {
                _behind.Remove(watcher);
                return false;
            }
            _batch.Clear();
            var isCurrent = replica.Watches.CatchUp(watcher, _batch, out var compacted);
            Send(_batch);
            if (compacted > 0)
            {
                End(watcher);
                // etcd tells no revision and no reason here: clients know by the compacted one.
                call.Write(new WatchResponse { Header = replica.Header(0), WatchId = watcher.Id, Canceled = true, CompactRevision = compacted });
            }
            if (isCurrent || compacted > 0)
                _behind.Remove(watcher);
            return _batch.Count > 0 || compacted > 0;
        }

        /// <summary>
        /// What waits for one watch shares a response, in order; one revision is never split but by fragments. Between watches of a stream
        /// no order is promised.
        /// </summary>
        private void Send(List<WatchItem> items)
        {
            foreach (var item in items)
            {
                var batch = item.Watcher.Batch;
                if (batch.Count == 0)
                    _withBatch.Add(item.Watcher);
                batch.Add(item);
            }
            foreach (var watcher in _withBatch)
            {
                if (!watcher.IsCanceled)
                    SendBatch(watcher);
                watcher.Batch.Clear();
            }
            _withBatch.Clear();
        }

        private void SendBatch(Watcher watcher)
        {
            var batch = watcher.Batch;
            watcher.WasHeard = true;
            for (var first = 0; first < batch.Count;)
            {
                var bytes = batch[first].Changes.Encoded.Length;
                var end = first + 1;
                while (end < batch.Count && bytes + batch[end].Changes.Encoded.Length <= replica.Options.MaxRequestBytes)
                    bytes += batch[end++].Changes.Encoded.Length;
                if (watcher.MayFragment && bytes > replica.Options.MaxRequestBytes)
                {
                    var whole = new WatchResponse { WatchId = watcher.Id, Header = replica.Header(batch[end - 1].Revision) };
                    whole.Events.AddRange(batch[first].Changes.Events);
                    SendFragments(whole);
                }
                else
                {
                    WriteEvents(watcher.Id, HeaderOf(batch[end - 1].Revision), batch, first, end, bytes);
                }
                first = end;
            }
        }

        /// <summary>A WatchResponse from bytes that all watches share: a change for ten thousand is put into bytes once.</summary>
        private void WriteEvents(long id, byte[] header, List<WatchItem> batch, int first, int end, int eventBytes)
        {
            var idBytes = id == 0 ? 0 : 1 + CodedOutputStream.ComputeInt64Size(id);
            var size = header.Length + idBytes + eventBytes;
            var target = call.BeginMessage(size);
            header.CopyTo(target);
            var at = header.Length;
            if (id != 0)
            {
                target[at++] = WatchIdField;
                for (var left = (ulong)id; ; left >>= 7)
                {
                    target[at++] = (byte)(left < 0x80 ? left : (left & 0x7F) | 0x80);
                    if (left < 0x80)
                        break;
                }
            }
            for (var i = first; i < end; i++)
            {
                batch[i].Changes.Encoded.CopyTo(target[at..]);
                at += batch[i].Changes.Encoded.Length;
            }
            call.EndMessage(size);
        }

        private byte[] HeaderOf(long revision)
        {
            if (_header.Length == 0 || _headerRevision != revision)
            {
                _header = new WatchResponse { Header = replica.Header(revision) }.ToByteArray();
                _headerRevision = revision;
            }
            return _header;
        }

        private void SendFragments(WatchResponse whole)
        {
            var piece = new WatchResponse { Header = whole.Header, WatchId = whole.WatchId };
            var bytes = 0;
            foreach (var change in whole.Events)
            {
                var size = change.CalculateSize();
                if (bytes > 0 && bytes + size > replica.Options.MaxRequestBytes)
                {
                    piece.Fragment = true;
                    call.Write(piece);
                    piece = new WatchResponse { Header = whole.Header, WatchId = whole.WatchId };
                    bytes = 0;
                }
                piece.Events.Add(change);
                bytes += size;
            }
            call.Write(piece);
        }

        /// <summary>A watch that asked for it hears where it is when nothing was said for long.</summary>
        private async Task WatchSilenceAsync(CancellationToken ended)
        {
            try
            {
                while (true)
                {
                    await Task.Delay(replica.Options.WatchProgressEvery, replica.Time, ended).ConfigureAwait(false);
                    foreach (var watcher in Watchers())
                    {
                        if (watcher is { WantsProgress: true, WasHeard: false })
                            _stream.TellProgress(watcher);
                        watcher.WasHeard = false;
                    }
                }
            }
            catch (OperationCanceledException)
            {
                // The call has ended.
            }
        }
    }
}
