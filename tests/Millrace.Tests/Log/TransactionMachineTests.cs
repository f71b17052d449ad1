using Millrace.Kafka.Messages;
using Millrace.Log.Transactions;

namespace Millrace.Tests.Log;

/// <summary>One transactional id without clock, disk or network.</summary>
public sealed class TransactionMachineTests
{
    private static readonly (string, int)[] Places = [("t", 0), ("t", 1)];
    private readonly TransactionMachine _machine = new("id");
    private long _nextId = 100;

    [Fact]
    public void A_transaction_begins_with_its_first_partition_and_ends_once()
    {
        Assert.Equal(new TransactionOutcome(ErrorCode.None, TransactionStep.Persist), Init());
        Assert.Equal((100L, (short)0), (_machine.ProducerId, _machine.Epoch));
        Assert.Equal(ErrorCode.InvalidTxnState, _machine.End(100, 0, true, 1).Error);
        Assert.Equal(TransactionStep.Persist, _machine.Add(100, 0, Places, 5).Step);
        Assert.Equal(TransactionStep.Answer, _machine.Add(100, 0, [("t", 1)], 6).Step);
        Assert.Equal(ErrorCode.None, _machine.CheckAppend(100, 0, ("t", 0)));
        Assert.Equal(ErrorCode.InvalidTxnState, _machine.CheckAppend(100, 0, ("t", 2)));
        Assert.Equal(TransactionStep.Finish, _machine.End(100, 0, true, 7).Step);
        Assert.Equal(ErrorCode.InvalidTxnState, _machine.CheckAppend(100, 0, ("t", 0)));
        Assert.Equal(ErrorCode.ConcurrentTransactions, _machine.Add(100, 0, Places, 8).Error);
        Assert.Equal(TransactionStep.Finish, _machine.End(100, 0, true, 8).Step);
        _machine.IsBusy = true;
        Assert.Equal(ErrorCode.ConcurrentTransactions, _machine.End(100, 0, true, 8).Error);
        _machine.IsBusy = false;
        Assert.Equal(ErrorCode.InvalidTxnState, _machine.End(100, 0, false, 8).Error);
        _machine.Complete(9);
        Assert.Equal(new TransactionOutcome(ErrorCode.None, TransactionStep.Answer), _machine.End(100, 0, true, 10));
        Assert.Equal(ErrorCode.InvalidTxnState, _machine.End(100, 0, false, 10).Error);
    }

    [Fact]
    public void Who_comes_after_fences_who_was_before_and_aborts_its_transaction()
    {
        Init();
        _machine.Add(100, 0, Places, 1);
        Assert.Equal(new TransactionOutcome(ErrorCode.ConcurrentTransactions, TransactionStep.Finish), Init());
        Assert.Equal((TransactionState.PrepareAbort, (short)1), (_machine.State, _machine.Epoch));
        Assert.Equal(ErrorCode.ConcurrentTransactions, Init().Error);
        _machine.Complete(2);
        Assert.Equal(ErrorCode.None, Init().Error);
        Assert.Equal((short)2, _machine.Epoch);
        Assert.Equal(ErrorCode.ProducerFenced, _machine.Add(100, 0, Places, 3).Error);
        Assert.Equal(ErrorCode.InvalidProducerIdMapping, _machine.Add(7, 0, Places, 3).Error);
        Assert.Equal(ErrorCode.InvalidProducerEpoch, _machine.CheckAppend(100, 0, ("t", 0)));
    }

    [Fact]
    public void A_producer_that_names_its_id_gets_the_next_epoch_and_a_repeat_the_same()
    {
        Init();
        Assert.Equal(ErrorCode.None, Init(100, 0).Error);
        Assert.Equal((short)1, _machine.Epoch);
        Assert.Equal(new TransactionOutcome(ErrorCode.None, TransactionStep.Answer), Init(100, 0));
        Assert.Equal((short)1, _machine.Epoch);
        Assert.Equal(ErrorCode.ProducerFenced, Init(55, 0).Error);
        Init(100, 1);
        Assert.Equal(ErrorCode.ProducerFenced, Init(100, 0).Error);
    }

    [Fact]
    public void When_the_epochs_are_used_up_there_is_a_new_id()
    {
        _machine.Restore(new TransactionValue { ProducerId = 9, ProducerEpoch = short.MaxValue - 1, TimeoutMs = 1000 }, 0);
        Assert.Equal(ErrorCode.None, Init(9, short.MaxValue - 1).Error);
        Assert.Equal((100L, (short)0), (_machine.ProducerId, _machine.Epoch));
        // The answer was lost: the producer still names the old one.
        Assert.Equal(new TransactionOutcome(ErrorCode.None, TransactionStep.Answer), Init(9, short.MaxValue - 1));
    }

    [Fact]
    public void A_transaction_over_its_timeout_is_aborted_and_its_producer_fenced()
    {
        Init();
        _machine.Add(100, 0, Places, 1000);
        Assert.Equal(TransactionStep.Answer, _machine.Expire(61_000).Step);
        Assert.Equal(TransactionStep.Finish, _machine.Expire(61_001).Step);
        Assert.Equal((TransactionState.PrepareAbort, (short)1), (_machine.State, _machine.Epoch));
        Assert.Equal(ErrorCode.ProducerFenced, _machine.End(100, 0, true, 61_002).Error);
    }

    [Fact]
    public void What_is_written_comes_back()
    {
        Init();
        _machine.Add(100, 0, Places, 1000);
        var again = new TransactionMachine("id");
        again.Restore(_machine.Describe(), long.MaxValue);
        Assert.Equal(ErrorCode.None, again.CheckAppend(100, 0, ("t", 1)));
        Assert.Equal((1000L, TransactionState.Ongoing), (again.StartedAt, again.State));
    }

    private TransactionOutcome Init(long id = -1, short epoch = -1) => _machine.Init(60_000, id, epoch, () => _nextId++, 1);
}
