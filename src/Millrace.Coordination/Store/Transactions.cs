using Google.Protobuf;
using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Store;

/// <summary>etcd's writes and transactions on a store (server/etcdserver/txn/txn.go): everything is decided and checked before anything is written.</summary>
internal static class Transactions
{
    public static PutResponse Put(KeyValueStore store, in PutView request)
    {
        CheckPut(store, request);
        return ExecutePut(store, request);
    }

    public static DeleteRangeResponse Delete(KeyValueStore store, DeleteRangeRequest request)
    {
        var deleted = store.Delete(new KeyRange(request.Key, request.RangeEnd));
        var response = new DeleteRangeResponse { Header = new ResponseHeader(), Deleted = deleted.Count };
        if (request.PrevKv)
        {
            foreach (var version in deleted)
                response.PrevKvs.Add(store.View(version).ToMessage());
        }
        return response;
    }

    /// <exception cref="StoreException">Some operation of the branches taken cannot be done; nothing was written.</exception>
    public static TxnResponse Run(KeyValueStore store, TxnRequest request)
    {
        var path = new Queue<bool>();
        Decide(store, request, path);
        Check(store, request, new Queue<bool>(path));
        return Execute(store, request, path);
    }

    /// <summary>All comparisons see the state before the transaction, those of nested ones too.</summary>
    private static void Decide(KeyValueStore store, TxnRequest request, Queue<bool> path)
    {
        var succeeded = true;
        foreach (var compare in request.Compare)
        {
            if (Holds(store, compare))
                continue;
            succeeded = false;
            break;
        }
        path.Enqueue(succeeded);
        foreach (var op in succeeded ? request.Success : request.Failure)
        {
            if (op.RequestCase == RequestOp.RequestOneofCase.RequestTxn)
                Decide(store, op.RequestTxn, path);
        }
    }

    private static void Check(KeyValueStore store, TxnRequest request, Queue<bool> path)
    {
        foreach (var op in path.Dequeue() ? request.Success : request.Failure)
        {
            switch (op.RequestCase)
            {
                case RequestOp.RequestOneofCase.RequestRange:
                    store.RequireReadable(op.RequestRange.Revision);
                    break;
                case RequestOp.RequestOneofCase.RequestPut:
                    CheckPut(store, ViewOf(op.RequestPut));
                    break;
                case RequestOp.RequestOneofCase.RequestTxn:
                    Check(store, op.RequestTxn, path);
                    break;
            }
        }
    }

    private static TxnResponse Execute(KeyValueStore store, TxnRequest request, Queue<bool> path)
    {
        var response = new TxnResponse { Header = new ResponseHeader(), Succeeded = path.Dequeue() };
        foreach (var op in response.Succeeded ? request.Success : request.Failure)
        {
            response.Responses.Add(op.RequestCase switch
            {
                RequestOp.RequestOneofCase.RequestRange => new ResponseOp { ResponseRange = store.Range(op.RequestRange) },
                RequestOp.RequestOneofCase.RequestPut => new ResponseOp { ResponsePut = ExecutePut(store, ViewOf(op.RequestPut)) },
                RequestOp.RequestOneofCase.RequestDeleteRange =>
                    new ResponseOp { ResponseDeleteRange = Delete(store, op.RequestDeleteRange) },
                RequestOp.RequestOneofCase.RequestTxn => new ResponseOp { ResponseTxn = Execute(store, op.RequestTxn, path) },
                _ => new ResponseOp(),
            });
        }
        return response;
    }

    private static PutView ViewOf(PutRequest request) => new()
    {
        Key = request.Key.Span, Value = request.Value.Span, Lease = request.Lease, WantsPrevious = request.PrevKv, IgnoresValue = request.IgnoreValue,
        IgnoresLease = request.IgnoreLease,
    };

    private static void CheckPut(KeyValueStore store, in PutView request)
    {
        if ((request.IgnoresValue || request.IgnoresLease) && store.Find(request.Key).IsNone)
            throw StoreErrors.KeyNotFound;
        if (request.Lease != 0 && store.Leases.Find(request.Lease) is null)
            throw StoreErrors.LeaseNotFound;
    }

    private static PutResponse ExecutePut(KeyValueStore store, in PutView request)
    {
        var value = request.Value;
        var lease = request.Lease;
        if (request.IgnoresValue || request.IgnoresLease)
        {
            // Checked before; an earlier operation of the same transaction cannot have deleted it, that is a duplicate key.
            var id = store.Find(request.Key);
            if (id.IsNone)
                throw StoreErrors.KeyNotFound;
            var current = store.View(id);
            if (request.IgnoresValue)
                value = current.Value;
            if (request.IgnoresLease)
                lease = current.Lease;
        }
        var previous = store.Put(request.Key, value, lease);
        var response = new PutResponse { Header = new ResponseHeader() };
        if (request.WantsPrevious && !previous.IsNone)
            response.PrevKv = store.View(previous).ToMessage();
        return response;
    }

    private static bool Holds(KeyValueStore store, Compare compare)
    {
        var any = false;
        var all = true;
        store.Walk(new KeyRange(compare.Key, compare.RangeEnd), 0, version =>
        {
            any = true;
            all = Holds(compare, version.Value, version.CreateRevision, version.ModRevision, version.Lease, version.Version);
            return all;
        });
        if (any)
            return all;
        // A missing key has no value to compare with, and zeros in all else.
        return compare.Target != Compare.Types.CompareTarget.Value && Holds(compare, default, 0, 0, 0, 0);
    }

    private static bool Holds(Compare compare, ReadOnlySpan<byte> value, long created, long modified, long lease, long version)
    {
        var order = compare.Target switch
        {
            Compare.Types.CompareTarget.Value => value.SequenceCompareTo(
                (compare.TargetUnionCase == Compare.TargetUnionOneofCase.Value ? compare.Value : ByteString.Empty).Span),
            Compare.Types.CompareTarget.Create => created.CompareTo(compare.CreateRevision),
            Compare.Types.CompareTarget.Mod => modified.CompareTo(compare.ModRevision),
            Compare.Types.CompareTarget.Lease => lease.CompareTo(compare.Lease),
            _ => version.CompareTo(compare.Version),
        };
        return compare.Result switch
        {
            Compare.Types.CompareResult.Greater => order > 0,
            Compare.Types.CompareResult.Less => order < 0,
            Compare.Types.CompareResult.NotEqual => order != 0,
            _ => order == 0,
        };
    }
}
