// An SMSC on npm's `smpp`. Arguments: port of SMPP, port of control. Each message that it takes is a line of JSON on standard output.
// Control takes lines of JSON: {"receipts": "DELIVRD"} (what becomes of messages from now on), {"quiet": true}, {"from", "to", "text"} (a message
// to whoever is bound); what a delivery was answered with comes back as a line.
const smpp = require('smpp'), net = require('net');
let receipts = 'DELIVRD', quiet = false, count = 0, session = null;
const say = (line) => quiet || console.log(JSON.stringify(line));
smpp.createServer((bound) => {
  bound.on('error', () => {});
  bound.on('bind_transceiver', (pdu) => {
    const good = pdu.system_id === 'shop' && pdu.password === 'secret';
    bound.send(pdu.response({ command_status: good ? 0 : smpp.ESME_RINVPASWD }));
    if (good) session = bound;
  });
  bound.on('enquire_link', (pdu) => bound.send(pdu.response()));
  bound.on('unbind', (pdu) => { bound.send(pdu.response()); bound.close(); });
  bound.on('submit_sm', (pdu) => {
    const id = `s${++count}`, failed = pdu.destination_addr.endsWith('0') && receipts === 'mixed';
    const { message, udh } = pdu.short_message;
    bound.send(pdu.response({ message_id: id }));
    say({ id, from: pdu.source_addr, to: pdu.destination_addr, text: message, coding: pdu.data_coding, udh: udh ? udh[0].toString('hex') : '' });
    if (!receipts || !pdu.registered_delivery) return;
    const stat = failed ? 'UNDELIV' : receipts === 'mixed' ? 'DELIVRD' : receipts;
    bound.deliver_sm({
      source_addr: pdu.destination_addr, destination_addr: pdu.source_addr, source_addr_ton: 1, esm_class: 4,
      short_message: `id:${id} sub:001 dlvrd:001 submit date:2601050900 done date:2601050901 stat:${stat} err:${failed ? '005' : '000'} text:`,
    });
  });
}).listen(Number(process.argv[2]), '127.0.0.1');
net.createServer((control) => {
  control.on('error', () => {});
  require('readline').createInterface({ input: control }).on('line', (line) => {
    const told = JSON.parse(line);
    if ('receipts' in told) receipts = told.receipts;
    if ('quiet' in told) quiet = told.quiet;
    if (!('text' in told)) return control.write('{}\n');
    session.deliver_sm(
      { source_addr: told.from.slice(1), source_addr_ton: 1, destination_addr: told.to.slice(1), dest_addr_ton: 1, short_message: told.text },
      (answer) => control.write(JSON.stringify({ status: answer.command_status }) + '\n'),
    );
  });
}).listen(Number(process.argv[3]), '127.0.0.1');
