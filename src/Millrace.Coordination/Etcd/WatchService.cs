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
        private readonly WatchStream _stream = new(replica.Options.MaxBufferedWatchEvents);
        private readonly Lock _lock = new();
        private readonly Dictionary<long, Watcher> _watchers = [];
        private readonly List<Watcher> _behind = [];
        private readonly List<WatchItem> _batch = [];
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
                return "mvcc: range is empty or invalid";
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
                return error.Message;
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
            var (control, items, lagging, progress) = _stream.Take();
            var hasWritten = control.Count + items.Count > 0;
            foreach (var response in control)
                call.Write(response);
            Send(items);
            foreach (var watcher in _behind.ToArray())
                hasWritten |= CatchUp(watcher);
            _behind.AddRange(lagging);
            _progressOwed += progress;
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
                call.Write(new WatchResponse
                {
                    Header = replica.Header(replica.Read(static machine => machine.Store.Revision)), WatchId = watcher.Id, Canceled = true,
                    CompactRevision = compacted, CancelReason = StoreErrors.Compacted.Message,
                });
            }
            if (isCurrent || compacted > 0)
                _behind.Remove(watcher);
            return _batch.Count > 0 || compacted > 0;
        }

        /// <summary>Neighbouring changes for one watch share a response; one revision is never split but by fragments.</summary>
        private void Send(List<WatchItem> items)
        {
            for (var i = 0; i < items.Count;)
            {
                var watcher = items[i].Watcher;
                var response = new WatchResponse { WatchId = watcher.Id };
                var bytes = 0;
                var revision = 0L;
                for (; i < items.Count && items[i].Watcher == watcher && bytes < replica.Options.MaxRequestBytes; i++)
                {
                    response.Events.AddRange(items[i].Events);
                    revision = items[i].Revision;
                    if (watcher.MayFragment || items[i].Events.Length > 1)
                        bytes += items[i].Events.Sum(e => e.CalculateSize());
                    else
                        bytes += items[i].Events[0].CalculateSize();
                }
                if (watcher.IsCanceled)
                    continue;
                watcher.WasHeard = true;
                response.Header = replica.Header(revision);
                if (watcher.MayFragment && bytes > replica.Options.MaxRequestBytes)
                    SendFragments(response);
                else
                    call.Write(response);
            }
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
                            _stream.RequestProgress();
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
